// Ranks that are processes started by mpirun or srun, and the host memory they exchange.
#pragma once
#include "train/communicator.h"

namespace hinoki {

// Joins the ranks of MPI's world, once in a process. Null in a build without MPI: then no file fills it.
inline std::unique_ptr<Communicator> (*join_mpi)() = nullptr;

}  // namespace hinoki
