//! Cutting covers into folds, each of which is scored by a network that learnt from all others: groups whole, classes spread evenly.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::data::set::split::{Items, join};
use crate::hint::quoted;
use crate::{Error, Result};

/// One of several folds, written `2/5`: it is the test set, and all others are for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fold {
    /// From 1 on.
    pub number: usize,
    /// Folds in all.
    pub of: usize,
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Fold {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if of >= 2 && (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("a fold must be written as 2/5, the second of five"),
        }
    }
}

impl TryFrom<String> for Fold {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fold> for String {
    fn from(fold: Fold) -> Self {
        fold.to_string()
    }
}

/// For each item its fold, from 0 on.
///
/// # Errors
/// As [`check`].
pub fn assign(classes: &[String], items: &Items, folds: usize, seed: u64) -> Result<Vec<usize>> {
    let (labels, groups) = labels_and_groups(items);
    check_groups(classes, &labels, &groups, folds)?;
    Ok(deal(&labels, &groups, classes.len(), folds, seed))
}

/// Checks that each class can be in every fold.
///
/// # Errors
/// [`Error::Input`] naming the classes that have fewer groups than there are folds.
pub fn check(classes: &[String], items: &Items, folds: usize) -> Result<()> {
    let (labels, groups) = labels_and_groups(items);
    check_groups(classes, &labels, &groups, folds)
}

fn labels_and_groups(items: &Items) -> (Vec<usize>, Vec<usize>) {
    (items.iter().map(|item| item.label).collect(), join(items))
}

fn check_groups(classes: &[String], labels: &[usize], groups: &[usize], folds: usize) -> Result<()> {
    let mut own: Vec<HashSet<usize>> = vec![HashSet::new(); classes.len()];
    let mut covers = vec![0; classes.len()];
    for (&label, &group) in labels.iter().zip(groups) {
        own[label].insert(group);
        covers[label] += 1;
    }
    let groups: Vec<usize> = own.iter().map(HashSet::len).collect();
    let too_few: Vec<usize> = (0..classes.len()).filter(|&class| groups[class] < folds).collect();
    let Some(least) = too_few.iter().map(|&class| groups[class]).min() else { return Ok(()) };
    let told = |&class: &usize| match (covers[class], groups[class]) {
        (covers, groups) if covers == groups => format!("class `{}` has {covers} covers", classes[class]),
        (covers, groups) => format!("class `{}` has {covers} covers in {groups} groups to keep whole", classes[class]),
    };
    const NAMED: usize = 5;
    let mut listed: Vec<String> = too_few.iter().take(NAMED).map(told).collect();
    if too_few.len() > NAMED {
        listed.push(format!("and {} more classes like these", too_few.len() - NAMED));
    }
    let fewer = if least >= 2 { format!("say --folds {least}, ") } else { String::new() };
    let names: Vec<&str> = too_few.iter().take(NAMED).map(|&class| classes[class].as_str()).collect();
    Err(Error::Input(format!(
        "{}, fewer than the {folds} folds: {fewer}add covers of other groups, or leave them out with --without {}",
        listed.join(", "),
        quoted(&names.join(","))
    )))
}

/// For each picture the fold that it is in, from 0 on. `groups` numbers what has to stay together.
pub fn deal(labels: &[usize], groups: &[usize], classes: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut members = members(groups);
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    members.shuffle(&mut dice);
    // Large groups first: small ones then fill the gaps. The sort is stable, so equals stay shuffled.
    members.sort_by_key(|members| Reverse(members.len()));
    let mut counts = vec![vec![0_usize; folds]; classes];
    let mut sizes = vec![0_usize; folds];
    let mut fold_of = vec![0; labels.len()];
    for members in &members {
        let have = |fold: usize| members.iter().map(|&i| counts[labels[i]][fold]).sum::<usize>();
        let fold = (0..folds).min_by_key(|&fold| (have(fold), sizes[fold])).unwrap_or(0);
        for &i in members {
            fold_of[i] = fold;
            counts[labels[i]][fold] += 1;
            sizes[fold] += 1;
        }
    }
    fold_of
}

/// Numbers of the pictures of each group that has any.
pub fn members(groups: &[usize]) -> Vec<Vec<usize>> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.iter().max().map_or(0, |most| most + 1)];
    groups.iter().enumerate().for_each(|(i, &group)| members[group].push(i));
    members.retain(|members| !members.is_empty());
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::set::split::Item;
    use crate::data::set::strings::Strings;
    use crate::data::set::ties::Tie;

    #[test]
    fn groups_stay_whole_and_every_fold_has_its_share_of_each_class() {
        // 40 groups of 1 to 4 pictures; a third of them of class 1.
        let groups: Vec<usize> = (0..40).flat_map(|group| vec![group; 1 + group % 4]).collect();
        let labels: Vec<usize> = groups.iter().map(|group| usize::from(group % 3 == 0)).collect();
        let fold_of = deal(&labels, &groups, 2, 5, 1);
        for (i, j) in (1..groups.len()).map(|i| (i - 1, i)).filter(|&(i, j)| groups[i] == groups[j]) {
            assert_eq!(fold_of[i], fold_of[j]);
        }
        for class in 0..2 {
            let own = |fold: usize| (0..labels.len()).filter(|&i| labels[i] == class && fold_of[i] == fold).count();
            let counts: Vec<usize> = (0..5).map(own).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 3, "class {class}: {counts:?}");
        }
        assert_eq!(fold_of, deal(&labels, &groups, 2, 5, 1));
        assert_ne!(fold_of, deal(&labels, &groups, 2, 5, 2));
    }

    #[test]
    fn a_class_with_fewer_groups_than_folds_is_refused_with_the_number_that_would_do() {
        let artists = ["a", "a", "b", "c", "d", "e", "f", "g"];
        let strings: Vec<Strings> = artists.iter().map(|artist| Strings::of("p", &[*artist])).collect();
        let ties = Tie::of(&["artist".to_owned()], &[0]);
        let key = |i: usize| blake3::hash(&[i as u8]);
        let items = Items::new(8, |i| Item {
            label: usize::from(i >= 4),
            strings: &strings[i],
            ties: &ties,
            key: key(i),
            before: None,
        });
        let classes = ["Jazz", "Hip Hop"].map(str::to_owned);
        let said = assign(&classes, &items, 4, 1).unwrap_err().to_string();
        assert!(
            said.contains("class `Jazz` has 4 covers in 3 groups to keep whole, fewer than the 4 folds: say --folds 3")
        );
        let said = assign(&classes, &items, 5, 1).unwrap_err().to_string();
        assert!(said.contains("`Hip Hop` has 4 covers, fewer") && said.ends_with("--without 'Jazz,Hip Hop'"), "{said}");
        assert_eq!(assign(&classes, &items, 3, 1).unwrap().iter().max(), Some(&2));
    }

    #[test]
    fn folds_are_written_as_one_of_several() {
        assert_eq!("2/5".parse(), Ok(Fold { number: 2, of: 5 }));
        for wrong in ["", "2", "0/5", "6/5", "1/1", "a/b", "-1/2"] {
            assert!(wrong.parse::<Fold>().is_err(), "{wrong}");
        }
        assert_eq!(Fold { number: 2, of: 5 }.to_string(), "2/5");
    }
}
