"""One command in several processes started by torchrun; does not import torch itself.

``torchrun --nproc-per-node 2 -m shiftbench ...`` starts the same command twice. The first process
makes decisions, writes files and reports; the others follow it from job to job and process their
share of the images. All other packages use only these names:

- :class:`World`, :func:`world`: rank and world size, 0 and 1 for a plain command;
- :func:`silence_follower`, :func:`leave_failure`, :func:`leave_reason`: output by one process only;
- :class:`SharedJobs`: the first process's decisions about a job, and the
  :class:`~shiftbench.runtime.distributed.team.Team` that shares its work.
"""

from shiftbench.runtime.distributed.env import World as World
from shiftbench.runtime.distributed.env import leave_reason as leave_reason
from shiftbench.runtime.distributed.env import world as world
from shiftbench.runtime.distributed.jobs import SharedJobs as SharedJobs
from shiftbench.runtime.distributed.output import leave_failure as leave_failure
from shiftbench.runtime.distributed.output import silence_follower as silence_follower
