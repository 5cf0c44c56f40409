"""One command over several processes, as torchrun starts them; imports no torch by itself.

``torchrun --nproc-per-node 2 -m shiftbench ...`` starts the same command twice. The first process
decides, writes and reports; the others follow it from job to job and do their share of the images.
Everything outside of this package goes through these names:

- :class:`World`, :func:`world`: which process this is, 0 of 1 for a plain command;
- :func:`silence_follower`, :func:`leave_failure`, :func:`leave_reason`: one voice for all;
- :class:`SharedJobs`: what the first process decides about a job, and the
  :class:`~shiftbench.runtime.distributed.team.Team` that shares its work.
"""

from shiftbench.runtime.distributed.env import World as World
from shiftbench.runtime.distributed.env import leave_reason as leave_reason
from shiftbench.runtime.distributed.env import world as world
from shiftbench.runtime.distributed.jobs import SharedJobs as SharedJobs
from shiftbench.runtime.distributed.output import leave_failure as leave_failure
from shiftbench.runtime.distributed.output import silence_follower as silence_follower
