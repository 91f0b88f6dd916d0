//! What the launcher (mpirun, srun) says in the environment, before MPI is asked.

use std::env;

/// How many processes were started together, as each launcher says it: Open MPI, MPICH and those that follow it, MVAPICH.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"];
const RANKS: [&str; 4] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK"];

/// Slurm's srun with PMIx tells each process its rank, and their number only in a variable of its own.
const PMIX: &str = "PMIX_RANK";
const SLURM: &str = "SLURM_STEP_NUM_TASKS";

fn number(of: &impl Fn(&str) -> Option<String>, names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| of(name)?.trim().parse().ok())
}

fn size_in(of: &impl Fn(&str) -> Option<String>) -> usize {
    let of_slurm = || of(PMIX).and_then(|_| number(of, &[SLURM]));
    number(of, &SIZES).or_else(of_slurm).unwrap_or(1)
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The number of processes that were started together; 1 without a launcher.
pub fn size() -> usize {
    size_in(&variable)
}

/// Whether this process is the one that speaks for all.
pub fn is_first() -> bool {
    size() == 1 || number(&variable, &RANKS).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_launcher_is_understood() {
        let size = |set: &[(&str, &str)]| {
            size_in(&|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(size(&[]), 1);
        assert_eq!(size(&[("OMPI_COMM_WORLD_SIZE", "4")]), 4);
        assert_eq!(size(&[("PMI_SIZE", "2"), ("PMI_RANK", "1")]), 2);
        assert_eq!(size(&[("MV2_COMM_WORLD_SIZE", "3")]), 3);
        assert_eq!(size(&[("PMIX_RANK", "0"), ("SLURM_STEP_NUM_TASKS", "8")]), 8);
        // A job of several tasks in which this one was started by itself.
        assert_eq!(size(&[("SLURM_STEP_NUM_TASKS", "8")]), 1);
        assert_eq!(size(&[("OMPI_COMM_WORLD_SIZE", "many")]), 1);
    }
}
