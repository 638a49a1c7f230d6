from ._ctrnn import Network as Network
from .builtin import BuiltinTask as BuiltinTask
from .builtin import task as task
from .command import call as call
from .errors import CtrnnError as CtrnnError
from .errors import Stopped as Stopped
from .results import Analysis as Analysis
from .results import States as States
from .run import Run as Run
from .run import load_run as load_run
from .tasks import Clock as Clock
from .tasks import Task as Task
from .training import train as train

__version__: str
