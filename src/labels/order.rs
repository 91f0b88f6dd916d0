//! In which order are labels suspicious? By what a network answers, by what the neighbours of a cover are labelled, or by both.

use serde::Serialize;

use super::confident::Opinion;
use super::neighbours::Near;

/// What makes a label suspicious.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Little belief in it.
    SelfConfidence,
    /// More belief in another one.
    NormalisedMargin,
}

/// An order of suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Order {
    pub measure: Measure,
    /// How much the neighbours' labels count in what is believed of a cover; the rest is the network's answer.
    pub vote: f32,
}

/// How much neighbours may count. By themselves they are worse than any network was.
const VOTES: [f32; 3] = [0.0, 0.25, 0.5];

impl Order {
    /// All that are tried, with each of `VOTES`.
    pub fn all() -> impl Iterator<Item = Self> {
        let measures = [Measure::SelfConfidence, Measure::NormalisedMargin];
        VOTES.into_iter().flat_map(move |vote| measures.map(|measure| Self { measure, vote }))
    }

    /// How suspicious a label is, from 0 to 1, if this is believed of its cover.
    pub fn suspicion(self, belief: &Opinion, label: usize) -> f64 {
        match self.measure {
            Measure::SelfConfidence => 1.0 - f64::from(belief.of(label)),
            Measure::NormalisedMargin => (1.0 - f64::from(belief.margin_of(label))) / 2.0,
        }
    }

    /// In words.
    pub fn text(self) -> String {
        let measure = match self.measure {
            Measure::SelfConfidence => "how little is believed of the label",
            Measure::NormalisedMargin => "how much more is believed of another label",
        };
        let of = match self.vote {
            0.0 => "the network’s answer alone".to_owned(),
            vote => format!(
                "the network’s answer, and {:.0} % of it the labels of the most alike covers among those that it learnt from",
                100.0 * vote
            ),
        };
        format!("{measure}, by {of}")
    }
}

/// What is believed of a cover: a network's answer and the labels of its neighbours, which count `vote`.
pub fn belief(own: &Opinion, near: &[Near], labels: &[usize], vote: f32) -> Opinion {
    if near.is_empty() || vote == 0.0 {
        return own.clone();
    }
    let each = vote / near.len() as f32;
    let mut probabilities: Vec<(usize, f32)> = own.probabilities.iter().map(|&(c, p)| (c, p * (1.0 - vote))).collect();
    for class in near.iter().map(|near| labels[near.cover]) {
        match probabilities.iter_mut().find(|(other, _)| *other == class) {
            Some((_, p)) => *p += each,
            None => probabilities.push((class, each)),
        }
    }
    Opinion { label: own.label, probabilities }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_count_beside_the_network() {
        let own = Opinion { label: 0, probabilities: vec![(0, 0.6), (1, 0.4)] };
        let near = |cover: usize| Near { cover, similarity: 0.9 };
        // Of four neighbours one has the label, two class 1, and one a class that was not kept.
        let mixed = belief(&own, &[near(0), near(1), near(2), near(3)], &[0, 1, 1, 7], 0.5);
        for (class, p) in [(0, 0.3 + 0.125), (1, 0.2 + 0.25), (7, 0.125)] {
            assert!((mixed.of(class) - p).abs() < 1e-6, "{class}: {mixed:?}");
        }
        assert_eq!(belief(&own, &[], &[], 0.5), own);
        assert_eq!(belief(&own, &[near(0)], &[1], 0.0), own);
        let order = |measure| Order { measure, vote: 0.5 };
        let margin = |label| order(Measure::NormalisedMargin).suspicion(&mixed, label);
        assert!((margin(0) - (1.0 + 0.025) / 2.0).abs() < 1e-6 && (margin(1) - (1.0 - 0.025) / 2.0).abs() < 1e-6);
        assert!((order(Measure::SelfConfidence).suspicion(&mixed, 1) - 0.55).abs() < 1e-6);
        assert_eq!(Order::all().count(), 6);
    }
}
