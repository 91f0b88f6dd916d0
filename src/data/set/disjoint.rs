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

    /// For each number that of its set; sets are numbered by their smallest numbers.
    pub fn numbered(mut self) -> Vec<usize> {
        let mut sets = 0;
        for i in 0..self.0.len() {
            // What comes before has the number of its set already.
            self.0[i] = if self.0[i] == i {
                sets += 1;
                sets - 1
            } else {
                self.0[self.0[i]]
            };
        }
        self.0
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
        assert_eq!(sets.numbered(), [0, 1, 2, 1, 1, 1]);
        let mut gaps = Disjoint::new(5);
        gaps.join(0, 2);
        gaps.join(3, 4);
        assert_eq!(gaps.numbered(), [0, 1, 0, 2, 2]);
    }
}
