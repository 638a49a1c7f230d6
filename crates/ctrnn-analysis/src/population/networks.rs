//! Names, settings and groups of several networks.

use std::collections::BTreeMap;

/// Key of the seed, in which the networks of a group differ.
pub const SEED: &str = "seed";

/// Networks of a population, and their groups: those of a group differ only in their seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks {
    /// Names of the networks.
    pub names: Vec<String>,
    /// Keys in which the networks differ.
    pub keys: Vec<String>,
    /// Values `[network][key]` as text.
    pub values: Vec<Vec<String>>,
    /// Settings of each group, such as `lr = 0.01, n_units = 64`.
    pub groups: Vec<String>,
    /// Group of each network.
    pub group_of: Vec<usize>,
}

impl Networks {
    /// Groups networks by the values `[network][key]` of all keys but the seed.
    pub fn new(names: Vec<String>, keys: Vec<String>, values: Vec<Vec<String>>) -> Self {
        let (mut groups, mut group_of): (Vec<String>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut known: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
        let grouping: Vec<usize> = (0..keys.len()).filter(|&k| keys[k] != SEED).collect();
        let words = short_names(&keys);
        for own in &values {
            let settings: Vec<&str> = grouping.iter().map(|&k| &own[k][..]).collect();
            let group = known.entry(settings).or_insert_with(|| {
                let named = grouping
                    .iter()
                    .map(|&k| format!("{} = {}", words[k], own[k]));
                groups.push(named.collect::<Vec<_>>().join(", "));
                groups.len() - 1
            });
            group_of.push(*group);
        }
        if let [only] = &mut groups[..]
            && only.is_empty()
        {
            "all networks".clone_into(only);
        }
        Self {
            names,
            keys,
            values,
            groups,
            group_of,
        }
    }

    /// Returns the number of networks.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the indices of the networks of a group.
    pub fn of_group(&self, group: usize) -> Vec<usize> {
        let all = 0..self.len();
        all.filter(|&k| self.group_of[k] == group).collect()
    }

    /// Returns some of the networks; groups keep their numbers.
    #[must_use]
    pub fn only(&self, kept: &[usize]) -> Self {
        Self {
            names: kept.iter().map(|&k| self.names[k].clone()).collect(),
            keys: self.keys.clone(),
            values: kept.iter().map(|&k| self.values[k].clone()).collect(),
            groups: self.groups.clone(),
            group_of: kept.iter().map(|&k| self.group_of[k]).collect(),
        }
    }
}

/// Returns the last part of each key; the whole key where several have the same last part.
fn short_names(keys: &[String]) -> Vec<&str> {
    let last = |key: &str| -> usize { key.rfind('.').map_or(0, |dot| dot + 1) };
    let ends: Vec<&str> = keys.iter().map(|key| &key[last(key)..]).collect();
    let is_alone = |end: &str| ends.iter().filter(|other| **other == end).count() == 1;
    let named = keys.iter().zip(&ends);
    named
        .map(|(key, end)| if is_alone(end) { *end } else { &key[..] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<const N: usize>(words: [&str; N]) -> Vec<String> {
        words.map(str::to_owned).to_vec()
    }

    #[test]
    fn networks_that_differ_in_the_seed_alone_are_a_group() {
        let keys = texts(["model.n_units", "seed", "train.lr"]);
        let values = vec![
            texts(["64", "1", "0.1"]),
            texts(["32", "1", "0.1"]),
            texts(["64", "2", "0.1"]),
        ];
        let found = Networks::new(texts(["a", "b", "c"]), keys, values);
        assert_eq!(found.group_of, [0, 1, 0]);
        assert_eq!(
            found.groups,
            ["n_units = 64, lr = 0.1", "n_units = 32, lr = 0.1"]
        );
        assert_eq!(
            (found.of_group(0), found.of_group(1)),
            (vec![0, 2], vec![1])
        );
        let some = found.only(&[1, 2]);
        assert_eq!((some.of_group(0), some.of_group(1)), (vec![1], vec![0]));
    }

    #[test]
    fn seeds_alone_are_one_group_and_equal_ends_are_written_out() {
        let seeds = vec![texts(["1"]), texts(["2"])];
        let found = Networks::new(texts(["a", "b"]), texts(["seed"]), seeds);
        assert_eq!(
            (found.groups, found.group_of),
            (texts(["all networks"]), vec![0, 0])
        );
        let keys = texts(["model.e.tau_ms", "model.i.tau_ms", "model.n_units"]);
        assert_eq!(
            short_names(&keys),
            ["model.e.tau_ms", "model.i.tau_ms", "n_units"]
        );
    }
}
