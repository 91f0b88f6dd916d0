//! What belongs together, also through others: disjoint sets of numbers (Galler and Fischer, 1964).

/// Sets of the numbers from 0 on, each by itself at first.
pub struct Disjoint(Vec<usize>);

impl Disjoint {
    pub fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// The smallest number of the set that `i` is in.
    pub fn root(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    /// Makes one set of those that `a` and `b` are in.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::Disjoint;

    #[test]
    fn what_is_joined_through_others_has_one_root_and_it_is_the_smallest() {
        let mut sets = Disjoint::new(6);
        for (a, b) in [(5, 3), (4, 1), (3, 4)] {
            sets.join(a, b);
        }
        let roots: Vec<usize> = (0..6).map(|i| sets.root(i)).collect();
        assert_eq!(roots, [0, 1, 2, 1, 1, 1]);
    }
}
