//! What all ranks do together, made of messages between two of them. The order of sums is that of the ranks, whatever the MPI
//! library and its settings: so the same number of ranks gives the same bytes.

use std::cell::RefCell;
use std::ops::Range;

/// Messages between two ranks, as an implementation of MPI has them.
pub trait Wire {
    fn rank(&self) -> usize;
    fn count(&self) -> usize;
    /// Sends to one rank while it receives from another.
    fn exchange(&mut self, to: usize, message: &[u8], from: usize) -> Vec<u8>;
    /// The same, of as many words, without a copy of them where that can be.
    ///
    /// # Panics
    /// If another number of words is received.
    fn exchange_words(&mut self, to: usize, message: &[f32], from: usize, words: &mut [f32]) {
        let received = self.exchange(to, bytemuck::cast_slice(message), from);
        bytemuck::cast_slice_mut(words).copy_from_slice(&received);
    }
    fn send(&mut self, to: usize, message: &[u8]);
    fn receive(&mut self, from: usize) -> Vec<u8>;
}

/// The part of `len` words that a rank combines for all.
fn stretch(len: usize, rank: usize, count: usize) -> Range<usize> {
    len * rank / count..len * (rank + 1) / count
}

/// Makes one stretch of all ranks' words: gets where it lies, and that stretch of each rank, in the order of the ranks. What it makes
/// is left in the first one's.
pub type Combine<'a> = dyn Fn(Range<usize>, &mut [&mut [f32]]) + 'a;

thread_local! {
    /// What was received last. Fresh memory costs more than a sum.
    static RECEIVED: RefCell<Vec<Vec<f32>>> = const { RefCell::new(vec![]) };
}

/// Makes of all ranks' words the same words on all ranks. Each rank combines one stretch of them, and then hands it round, so that
/// each sends and receives 2 (N - 1) / N times what it has.
///
/// # Panics
/// If the ranks have not the same number of words.
pub fn all_combine(wire: &mut dyn Wire, words: &mut [f32], combine: &Combine) {
    let (rank, count, len) = (wire.rank(), wire.count(), words.len());
    let own = stretch(len, rank, count);
    let mut received = RECEIVED.take();
    received.resize_with(count, Vec::new);
    for step in 1..count {
        let (to, from) = ((rank + step) % count, (rank + count - step) % count);
        received[from].resize(own.len(), 0.0);
        wire.exchange_words(to, &words[stretch(len, to, count)], from, &mut received[from]);
    }
    let (before, others) = words.split_at_mut(own.start);
    let (own_words, after) = others.split_at_mut(own.len());
    let mut parts: Vec<&mut [f32]> = received.iter_mut().map(Vec::as_mut_slice).collect();
    parts[rank] = own_words;
    combine(own.clone(), &mut parts);
    if rank > 0 {
        let (first, others) = parts.split_at_mut(1);
        others[rank - 1].copy_from_slice(first[0]);
    }
    let combined = &*parts[rank];
    for step in 1..count {
        let (to, from) = ((rank + step) % count, (rank + count - step) % count);
        let Range { start, end } = stretch(len, from, count);
        let into = if from < rank { &mut before[start..end] } else { &mut after[start - own.end..end - own.end] };
        wire.exchange_words(to, combined, from, into);
    }
    RECEIVED.set(received);
}

/// The sum in the order of the ranks, as one adapter adds its batches up one after the other.
pub fn sum(_: Range<usize>, parts: &mut [&mut [f32]]) {
    let Some((sum, others)) = parts.split_first_mut() else { return };
    for other in others {
        sum.iter_mut().zip(&**other).for_each(|(sum, &word)| *sum += word);
    }
}

/// Running statistics as if the ranks' batches had come one after the other. All ranks began with `before`; each has then followed
/// `batches` of its own, and kept the share `keeps` of the old value at each. A rank's own change stays, and what the ranks before it
/// changed fades over its batches.
pub fn follow(before: &[f32], batches: &[usize], keeps: f64, place: Range<usize>, parts: &mut [&mut [f32]]) {
    let before = &before[place];
    let mut now: Vec<f64> = before.iter().map(|&word| f64::from(word)).collect();
    for (part, &batches) in parts.iter().zip(batches) {
        let fades = keeps.powi(i32::try_from(batches).unwrap_or(i32::MAX));
        for ((now, &word), &before) in now.iter_mut().zip(&**part).zip(before) {
            *now = f64::from(word) + fades * (*now - f64::from(before));
        }
    }
    parts[0].iter_mut().zip(now).for_each(|(word, now)| *word = now as f32);
}

/// What each rank has to say, in the order of the ranks, on all of them.
pub fn all_gather(wire: &mut dyn Wire, own: Vec<u8>) -> Vec<Vec<u8>> {
    let (rank, count) = (wire.rank(), wire.count());
    let mut all: Vec<Vec<u8>> = vec![Vec::new(); count];
    for step in 1..count {
        let (to, from) = ((rank + step) % count, (rank + count - step) % count);
        all[from] = wire.exchange(to, &own, from);
    }
    all[rank] = own;
    all
}

/// What each rank has to say, in the order of the ranks, on the first one; nothing on the others.
pub fn gather(wire: &mut dyn Wire, own: Vec<u8>) -> Vec<Vec<u8>> {
    if wire.rank() > 0 {
        wire.send(0, &own);
        return vec![];
    }
    let others = (1..wire.count()).map(|from| wire.receive(from)).collect::<Vec<_>>();
    std::iter::once(own).chain(others).collect()
}

/// Gives each rank its own of the first one's messages, which are as many as ranks.
pub fn scatter(wire: &mut dyn Wire, mut messages: Vec<Vec<u8>>) -> Vec<u8> {
    if wire.rank() > 0 {
        return wire.receive(0);
    }
    (1..wire.count()).for_each(|to| wire.send(to, &messages[to]));
    messages.swap_remove(0)
}

/// The first rank's message, on all ranks: those that have it hand it on, each time to as many others.
pub fn broadcast(wire: &mut dyn Wire, message: Vec<u8>) -> Vec<u8> {
    let (rank, count) = (wire.rank(), wire.count());
    let mut message = message;
    let mut have = 1;
    while have < count {
        if rank < have && rank + have < count {
            wire.send(rank + have, &message);
        } else if (have..2 * have).contains(&rank) {
            message = wire.receive(rank - have);
        }
        have *= 2;
    }
    message
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Ranks that are threads.
    struct Threads {
        rank: usize,
        to: Vec<Sender<(usize, Vec<u8>)>>,
        from: Receiver<(usize, Vec<u8>)>,
        early: HashMap<usize, Vec<Vec<u8>>>,
    }

    impl Wire for Threads {
        fn rank(&self) -> usize {
            self.rank
        }
        fn count(&self) -> usize {
            self.to.len()
        }
        fn exchange(&mut self, to: usize, message: &[u8], from: usize) -> Vec<u8> {
            self.send(to, message);
            self.receive(from)
        }
        fn send(&mut self, to: usize, message: &[u8]) {
            self.to[to].send((self.rank, message.to_vec())).unwrap();
        }
        fn receive(&mut self, from: usize) -> Vec<u8> {
            loop {
                if let Some(early) = self.early.get_mut(&from).filter(|early| !early.is_empty()) {
                    return early.remove(0);
                }
                let (of, message) = self.from.recv().unwrap();
                self.early.entry(of).or_default().push(message);
            }
        }
    }

    /// What each of `count` ranks ends with.
    fn all<T: Send>(count: usize, each: impl Fn(&mut Threads) -> T + Sync) -> Vec<T> {
        let (to, from): (Vec<_>, Vec<_>) = (0..count).map(|_| channel()).unzip();
        let wires = from.into_iter().enumerate().map(|(rank, from)| (rank, to.clone(), from));
        std::thread::scope(|scope| {
            let each = &each;
            let threads: Vec<_> = wires
                .map(|(rank, to, from)| {
                    scope.spawn(move || each(&mut Threads { rank, to, from, early: HashMap::new() }))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn a_sum_is_in_the_order_of_the_ranks_for_any_number_of_ranks_and_words() {
        // In another order the small ones would be lost, or kept.
        let word = |rank: usize, at: usize| if rank == 1 { 1e8 } else { 1.0 + (rank * at) as f32 * 0.37 };
        for count in [1, 2, 3, 5] {
            for len in [0, 1, 4, 13] {
                let wanted: Vec<f32> =
                    (0..len).map(|at| (1..count).fold(word(0, at), |sum, rank| sum + word(rank, at))).collect();
                let got = all(count, |wire| {
                    let mut words: Vec<f32> = (0..len).map(|at| word(wire.rank(), at)).collect();
                    all_combine(wire, &mut words, &sum);
                    words
                });
                assert!(got.iter().all(|got| *got == wanted), "{count} ranks, {len} words: {got:?}, not {wanted:?}");
            }
        }
    }

    #[test]
    fn statistics_end_as_after_all_batches_one_after_the_other() {
        // Means of single batches; the last rank has none, as at an epoch's end.
        let seen: [&[f64]; 4] = [&[1.0, 2.0], &[5.0, -3.0], &[0.5], &[]];
        let step = |now: f64, mean: f64| now + 0.1 * (mean - now);
        let wanted = seen.iter().copied().flatten().fold(0.25, |now, &mean| step(now, mean));
        let parts: Vec<Vec<f32>> =
            seen.iter().map(|seen| vec![seen.iter().fold(0.25, |now, &mean| step(now, mean)) as f32]).collect();
        let followed = |batches: &[usize]| {
            let mut parts = parts.clone();
            let mut parts: Vec<&mut [f32]> = parts.iter_mut().map(Vec::as_mut_slice).collect();
            follow(&[9.0, 0.25], batches, 0.9, 1..2, &mut parts);
            parts[0].to_vec()
        };
        let got = followed(&seen.map(<[f64]>::len));
        assert!((f64::from(got[0]) - wanted).abs() < 1e-7, "{got:?}, not {wanted}");
        assert_ne!(got, followed(&[1, 1, 1, 1]));
    }

    #[test]
    fn messages_arrive_in_the_order_of_the_ranks() {
        for count in 1..6 {
            let said = |rank: usize| vec![rank as u8; rank + 1];
            let everything: Vec<Vec<u8>> = (0..count).map(said).collect();
            let everywhere = all(count, |wire| {
                let own = said(wire.rank());
                all_gather(wire, own)
            });
            assert!(everywhere.iter().all(|got| *got == everything));
            let gathered = all(count, |wire| {
                let own = said(wire.rank());
                gather(wire, own)
            });
            assert_eq!(gathered[0], everything);
            assert!(gathered[1..].iter().all(Vec::is_empty));
            let given = all(count, |wire| {
                let messages = if wire.rank() == 0 { everything.clone() } else { vec![] };
                scatter(wire, messages)
            });
            assert_eq!(given, everything);
            let told = all(count, |wire| {
                let own = if wire.rank() == 0 { vec![7, 8] } else { vec![] };
                broadcast(wire, own)
            });
            assert!(told.iter().all(|got| *got == [7, 8]), "{count}: {told:?}");
        }
    }
}
