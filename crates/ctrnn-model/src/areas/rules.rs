//! Rules of areas and projections.

use super::pairs::{Direction, MOST_PROJECTIONS, PairOfAreas, ends};
use super::{Area, Projection, ReadOut, Sign, UnitGroup, is_name_of};
use crate::delays::whole_steps;
use crate::rules::broken_delay;
use crate::{CtrnnConfig, Parameter, TimeConstants, Topic, Violation, quoted, word_like};

const AREAS: &str = "model.areas";
const PROJECTIONS: &str = "model.projections";
/// Difference of the sum of fractions from 1 that counts as rounding.
const ROUNDING: f64 = 1e-6;

/// Returns the violations of the rules about the tables of areas and projections.
pub(super) fn all(config: &CtrnnConfig) -> Vec<Violation> {
    if config.areas.is_empty() {
        return without_areas(config).into_iter().collect();
    }
    let mut found = Vec::new();
    for (name, area) in config.areas.iter() {
        found.extend(name_of_area(name));
        found.extend(of_area(name, area));
        found.extend(unsigned_types(config, name, area));
    }
    found.extend(sizes(config));
    found.extend(other_keys(config));
    found.extend(time_constants(config));
    found.extend(shared_time_constant(config));
    for (key, projections) in config.projections.iter() {
        found.extend(of_key(config, key));
        found.extend(of_list(key, projections.all().len()));
        for (place, projection) in projections.all().iter().enumerate() {
            let path = path_of(
                key,
                matches!(projections, super::Projections::Several(_)).then_some(place),
            );
            found.extend(of_projection(&path, projection, config.dt_ms));
        }
    }
    // Units of projections are counted where the areas are known to be sound.
    if found.is_empty() {
        let groups = config.groups_of_table();
        let pairs = config.pairs_of_areas();
        found.extend(pairs.iter().filter_map(several_keys));
        found.extend(unused_keys(config, &pairs));
        found.extend(cell_types(config, &groups, &pairs));
        found.extend(pairs.iter().flat_map(|pair| of_pair(config, &groups, pair)));
    }
    let depending = |violation: Violation| violation.needs(&[AREAS, PROJECTIONS]);
    found.into_iter().map(depending).collect()
}

fn violation(message: impl Into<String>, help: impl Into<String>) -> Violation {
    Violation::new(Topic::Connections, message, help)
}

/// Returns the path of an entry of `[model.projections]`, or of an item of its list.
fn path_of(key: &str, place: Option<usize>) -> String {
    let item = place.map_or(String::new(), |place| format!("[{place}]"));
    format!("{PROJECTIONS}.{key}{item}")
}

/// Returns the remedy for an unknown word: a similar one, and all that there are.
fn known(word: &str, kind: &str, names: &[&str]) -> String {
    let meant = word_like(word, names.iter().copied())
        .map_or(String::new(), |meant| format!("did you mean {meant:?}? "));
    format!("{meant}{kind}: {}", quoted(names.iter().copied()))
}

/// Checks that there are no projections without areas.
fn without_areas(config: &CtrnnConfig) -> Option<Violation> {
    (!config.projections.is_empty()).then(|| {
        violation(
            "model.projections connects areas, but there is no model.areas",
            "add the areas, for instance model.areas.sensory = { units = 100 }",
        )
        .at(PROJECTIONS, "")
        .needs(&[AREAS])
    })
}

/// Checks that a name can be part of the key of a projection.
fn name_of_area(name: &str) -> Option<Violation> {
    is_not_a_name(name).then(|| {
        violation(
            format!("{name:?} is not a name of an area"),
            "a name begins with a letter and has letters, digits, _ and - only",
        )
        .at(format!("{AREAS}.{name}"), "")
    })
}

fn is_not_a_name(name: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    !name.starts_with(char::is_alphabetic) || !name.chars().all(is_of_name)
}

/// Checks the keys of one area.
fn of_area(name: &str, area: &Area) -> Vec<Violation> {
    let path = format!("{AREAS}.{name}");
    let mut found = Vec::new();
    let mut check = |holds: bool, key: &str, value: f64, rule: &str| {
        if !holds {
            let help = format!("`train-ctrnn config explain {path}.{key}` says what it may be");
            let message = format!("{path}.{key} = {value} {rule}");
            found.push(Violation::new(Topic::Value, message, help).at(format!("{path}.{key}"), ""));
        }
    };
    check(
        area.units > 0,
        "units",
        area.units as f64,
        "must be at least 1",
    );
    let is_fraction = |x: f64| (0.0..=1.0).contains(&x);
    let is_tau = |x: f64| x.is_finite() && x > 0.0;
    let fraction = area.excitatory_fraction.unwrap_or(0.0);
    check(
        is_fraction(fraction),
        "excitatory_fraction",
        fraction,
        "must lie in [0, 1]",
    );
    let tau = area.tau_ms.unwrap_or(1.0);
    check(
        is_tau(tau),
        "tau_ms",
        tau,
        "must be a finite number above 0",
    );
    let factor = area.plasticity.unwrap_or(1.0);
    check(
        factor.is_finite() && factor >= 0.0,
        "plasticity",
        factor,
        "must be a finite number of at least 0",
    );
    for (own, cell_type) in area.types.iter() {
        let fraction = cell_type.fraction;
        check(
            is_fraction(fraction),
            &format!("types.{own}.fraction"),
            fraction,
            "must lie in [0, 1]",
        );
        let tau = cell_type.tau_ms.unwrap_or(1.0);
        check(
            is_tau(tau),
            &format!("types.{own}.tau_ms"),
            tau,
            "must be a finite number above 0",
        );
    }
    if found.is_empty() {
        found.extend(of_types(&path, area));
    }
    found
}

/// Checks the cell types of an area, whose numbers are valid.
fn of_types(path: &str, area: &Area) -> Vec<Violation> {
    if area.types.is_empty() {
        return Vec::new();
    }
    let (types, mut found) = (format!("{path}.types"), Vec::new());
    if area.excitatory_fraction.is_some() {
        found.push(
            violation(
                format!("{path} has both cell types and a fraction of excitatory units"),
                "keep one of the two: the signs of the types say which units are excitatory",
            )
            .at(types.clone(), "one")
            .at(format!("{path}.excitatory_fraction"), "the other"),
        );
    }
    let sum: f64 = area.types.iter().map(|(_, own)| own.fraction).sum();
    if (sum - 1.0).abs() > ROUNDING {
        found.push(
            violation(
                format!("the fractions of {types} add up to {sum}"),
                "every unit has one type: the fractions must add up to 1",
            )
            .at(types.clone(), ""),
        );
    }
    for (name, own) in area.types.iter() {
        let sign = match name {
            "e" => Some(Sign::Excitatory),
            "i" => Some(Sign::Inhibitory),
            _ => None,
        };
        if is_not_a_name(name) || name == "all" {
            found.push(
                violation(
                    format!("{name:?} is not a name of a cell type"),
                    "a name begins with a letter and has letters, digits, _ and - only; `all` means all units",
                )
                .at(format!("{types}.{name}"), ""),
            );
        } else if sign.is_some() && own.sign != sign {
            found.push(
                violation(
                    format!("{types}.{name}: e and i mean all excitatory and all inhibitory units"),
                    "give the type another name, or that sign",
                )
                .at(format!("{types}.{name}"), ""),
            );
        }
    }
    if found.is_empty() {
        found.extend(empty_type(&types, area));
    }
    found
}

/// Checks that every cell type of a fraction above 0 has a unit.
fn empty_type(path: &str, area: &Area) -> Option<Violation> {
    let alone = CtrnnConfig {
        areas: crate::Named::from([("", area.clone())]),
        ..CtrnnConfig::default()
    };
    let groups = alone.groups_of_table();
    let has_unit = |name: &str| groups.iter().any(|g| g.cell_type.as_deref() == Some(name));
    let mut types = area.types.iter();
    let (name, own) = types.find(|(name, own)| own.fraction > 0.0 && !has_unit(name))?;
    Some(
        violation(
            format!(
                "{path}.{name}: {} of {} units is not a unit",
                own.fraction, area.units
            ),
            "more units, a larger fraction, or remove the type",
        )
        .at(format!("{path}.{name}"), ""),
    )
}

/// Checks that every cell type has a sign where some units have one.
fn unsigned_types(config: &CtrnnConfig, name: &str, area: &Area) -> Vec<Violation> {
    let unsigned = area.types.iter().filter(|(_, own)| own.sign.is_none());
    let violation = |(own, _): (&str, &super::CellType)| {
        violation(
            format!("{AREAS}.{name}.types.{own} has no sign, but Dale's law gives every unit one"),
            "add sign = \"excitatory\" or sign = \"inhibitory\"",
        )
        .at(format!("{AREAS}.{name}.types.{own}"), "")
    };
    let unsigned = unsigned.filter(|_| config.is_under_dale());
    unsigned.map(violation).collect()
}

/// Checks that the units of the areas add up to the number of units.
fn sizes(config: &CtrnnConfig) -> Option<Violation> {
    let sum = config.units_of_areas();
    (sum != config.n_units).then(|| {
        violation(
            format!(
                "the areas have {sum} units together, but model.n_units = {}",
                config.n_units
            ),
            format!("remove model.n_units, or write {sum}"),
        )
        .at(AREAS, "the areas")
        .at("model.n_units", "the number of units")
    })
}

/// Checks that other keys do not say the same as areas do.
fn other_keys(config: &CtrnnConfig) -> Vec<Violation> {
    let mut found = Vec::new();
    if config.density.recurrent != 1.0 {
        found.push(
            violation(
                "model.density.recurrent cannot be given together with model.areas",
                "give the projections densities: model.projections.\"* -> *\" = { density = 0.1 }",
            )
            .at("model.density.recurrent", "one")
            .at(AREAS, "the other"),
        );
    }
    if config
        .dale
        .as_ref()
        .is_some_and(|dale| dale.signs.is_some())
    {
        found.push(
            violation(
                "model.dale.signs cannot be given together with model.areas, which give the units signs",
                "remove it, and give the areas excitatory_fraction or types",
            )
            .at("model.dale.signs", "one")
            .at(AREAS, "the other"),
        );
    }
    found
}

/// Checks that time constants of areas and types replace single numbers.
fn time_constants(config: &CtrnnConfig) -> Option<Violation> {
    let has_own = |area: &Area| {
        area.tau_ms.is_some() || area.types.iter().any(|(_, own)| own.tau_ms.is_some())
    };
    let mut areas = config.areas.iter();
    let (name, _) = areas.find(|(_, area)| has_own(area))?;
    let (base, is_one_for_each) = match &config.tau_ms {
        TimeConstants::Learned(learned) => (&*learned.initial, learned.per_unit),
        tau => (tau, true),
    };
    let sign = if config.is_under_dale() { 1.0 } else { 0.0 };
    let are_numbers = [sign, -sign]
        .iter()
        .all(|&sign| base.shared_by(sign).is_some());
    (!are_numbers || !is_one_for_each).then(|| {
        violation(
            format!("{AREAS}.{name} has time constants of its own, but model.tau_ms is {}", config.tau_ms),
            "model.tau_ms may be one number here, or one for each sign: { e = 100, i = 50 }; where it is learned, per_unit = true",
        )
        .at(format!("{AREAS}.{name}"), "")
        .at("model.tau_ms", "")
    })
}

/// Checks that no area holds a learned time constant that it shares with areas that do not.
fn shared_time_constant(config: &CtrnnConfig) -> Option<Violation> {
    let is_shared = config.tau_ms.learned().is_some() && config.tau_ms.count(2) == 1;
    let is_frozen = config.is_frozen(Parameter::TIME_CONSTANTS);
    let factor = |name: &str| config.plasticity_of_area(name);
    let mut names = config.areas.names();
    let first = factor(names.next()?);
    let name = names.find(|name| factor(name) != first)?;
    (is_shared && !is_frozen).then(|| {
        violation(
            format!("{AREAS}.{name} has another plasticity than other areas, but all share the learned time constant of model.tau_ms"),
            "per_unit = true in model.tau_ms learns one for each unit; \"tau_raw\" in train.freeze keeps the one of all",
        )
        .at(format!("{AREAS}.{name}"), "")
        .at("model.tau_ms", "")
    })
}

/// Checks that the key of a projection names two areas.
fn of_key(config: &CtrnnConfig, key: &str) -> Vec<Violation> {
    let path = path_of(key, None);
    let Some(direction) = Direction::parse(key) else {
        let found = violation(
            format!("{key:?} in {PROJECTIONS} is not a projection"),
            "write \"FROM -> TO\" with the names of two areas, or * for all",
        );
        return vec![found.at(path, "")];
    };
    let names: Vec<&str> = config.areas.names().collect();
    let sides = [direction.from, direction.to];
    let unknown = sides
        .into_iter()
        .filter(|name| *name != Direction::ANY && !names.contains(name));
    let violation = |name: &str| {
        violation(
            format!("{name:?} in {PROJECTIONS}.{key:?} is not an area"),
            known(name, "areas", &names),
        )
        .at(path.clone(), "")
    };
    unknown.map(violation).collect()
}

/// Checks that a list of projections is neither empty nor longer than can be numbered.
fn of_list(key: &str, n: usize) -> Option<Violation> {
    (n == 0 || n > MOST_PROJECTIONS).then(|| {
        violation(
            format!("{PROJECTIONS}.{key:?} is a list of {n} projections"),
            "give at least one; { density = 0 } removes all connections between two areas",
        )
        .at(path_of(key, None), "")
    })
}

/// Checks the keys of one projection.
fn of_projection(path: &str, projection: &Projection, dt_ms: f64) -> Vec<Violation> {
    let mut found = Vec::new();
    let given = [
        projection.density.map(|_| "density"),
        projection.in_degree.map(|_| "in_degree"),
        projection.out_degree.map(|_| "out_degree"),
    ];
    if let [first, second, ..] = given.into_iter().flatten().collect::<Vec<_>>()[..] {
        found.push(
            violation(
                format!("{path} has both {first} and {second}"),
                "keep one of them: each says how many connections exist",
            )
            .at(format!("{path}.{first}"), "one")
            .at(format!("{path}.{second}"), "the other"),
        );
    }
    let is_degree = |k: Option<usize>| k.is_none_or(|k| k > 0);
    let is_level = |x: f64| x.is_finite() && x >= 0.0;
    let numbers = [
        (
            "density",
            projection.density,
            projection.density.is_none_or(|x| (0.0..=1.0).contains(&x)),
            "must lie in [0, 1]",
        ),
        (
            "in_degree",
            projection.in_degree.map(|k| k as f64),
            is_degree(projection.in_degree),
            "must be at least 1",
        ),
        (
            "out_degree",
            projection.out_degree.map(|k| k as f64),
            is_degree(projection.out_degree),
            "must be at least 1",
        ),
        (
            "plasticity",
            projection.plasticity,
            projection.plasticity.is_none_or(is_level),
            "must be a finite number, at least 0",
        ),
    ];
    let broken = projection
        .delay_ms
        .filter(|&delay| whole_steps(delay, dt_ms).is_none());
    found.extend(broken.map(|delay| {
        let key = format!("{path}.delay_ms");
        broken_delay(format!("{key} = {delay}"), delay, dt_ms).at(key, "the delay")
    }));
    let broken = numbers.into_iter().filter(|(_, _, holds, _)| !holds);
    found.extend(broken.filter_map(|(key, value, _, rule)| {
        let message = format!("{path}.{key} = {} {rule}", value?);
        let help = format!("`train-ctrnn config explain {PROJECTIONS}` says what it may be");
        Some(Violation::new(Topic::Value, message, help).at(format!("{path}.{key}"), ""))
    }));
    found
}

/// Checks that one key says more about a pair of areas than any other.
fn several_keys(pair: &PairOfAreas) -> Option<Violation> {
    let [first, second, ..] = pair.keys[..] else {
        return None;
    };
    let (from, to) = (pair.from, pair.to);
    Some(
        violation(
            format!("{PROJECTIONS} has {first:?} and {second:?}, which both hold from {from} to {to}"),
            format!("add \"{from} -> {to}\", which counts more than a key with *, or remove one of the two"),
        )
        .at(path_of(first, None), "one")
        .at(path_of(second, None), "the other"),
    )
}

/// Checks that every key counts for some pair of areas.
fn unused_keys(config: &CtrnnConfig, pairs: &[PairOfAreas]) -> Vec<Violation> {
    let is_unused = |key: &&str| !pairs.iter().any(|pair| pair.keys.contains(key));
    let violation = |key: &str| {
        violation(
            format!("{PROJECTIONS}.{key:?} has no effect: other keys name all of its areas"),
            "remove it",
        )
        .at(path_of(key, None), "")
    };
    config
        .projections
        .names()
        .filter(is_unused)
        .map(violation)
        .collect()
}

/// Checks that the cell types of projections exist where they begin and end.
fn cell_types(config: &CtrnnConfig, groups: &[UnitGroup], pairs: &[PairOfAreas]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (key, projections) in config.projections.iter() {
        let is_list = matches!(projections, super::Projections::Several(_));
        for (place, projection) in projections.all().iter().enumerate() {
            for (end, word) in [("from", &projection.from), ("to", &projection.to)] {
                let Some(word) = word else { continue };
                let own = pairs.iter().filter(|pair| pair.keys.contains(&key));
                let areas = own.map(|pair| if end == "from" { pair.from } else { pair.to });
                let areas: Vec<&str> = areas.collect();
                let own = groups
                    .iter()
                    .filter(|group| areas.contains(&group.area.as_str()));
                let own: Vec<&UnitGroup> = own.collect();
                if !own.iter().any(|group| group.is_of_type(word)) {
                    let path = path_of(key, is_list.then_some(place));
                    found.push(no_such_type(&path, end, word, &own));
                }
            }
        }
    }
    found
}

fn no_such_type(path: &str, end: &str, word: &str, groups: &[&UnitGroup]) -> Violation {
    let mut names: Vec<&str> = groups
        .iter()
        .filter_map(|g| g.cell_type.as_deref())
        .collect();
    let signs = [("e", Sign::Excitatory), ("i", Sign::Inhibitory)];
    let signs = signs
        .iter()
        .filter(|(_, sign)| groups.iter().any(|g| g.sign == Some(*sign)));
    names.extend(signs.map(|(word, _)| *word));
    names.sort_unstable();
    names.dedup();
    let help = if names.is_empty() {
        "give the area excitatory_fraction or types; without them it has no cell types".to_owned()
    } else {
        known(word, "cell types there", &names)
    };
    let message = format!("{path}.{end} = {word:?}: the area has no such cell type");
    violation(message, help).at(format!("{path}.{end}"), "")
}

/// Checks that the projections of a pair of areas share no pair of units, and that their degrees can be met.
fn of_pair(config: &CtrnnConfig, groups: &[UnitGroup], pair: &PairOfAreas) -> Vec<Violation> {
    let Some(key) = pair.keys.first() else {
        return Vec::new();
    };
    let ends: Vec<[Vec<usize>; 2]> = pair
        .projections
        .iter()
        .map(|projection| ends(groups, pair, projection))
        .collect();
    let path = |place: usize| path_of(key, (pair.projections.len() > 1).then_some(place));
    let share = |a: &[usize], b: &[usize]| a.iter().any(|unit| b.contains(unit));
    let mut found = Vec::new();
    for (place, [post, pre]) in ends.iter().enumerate() {
        let before = ends[..place]
            .iter()
            .position(|[p, q]| share(post, p) && share(pre, q));
        if let Some(before) = before {
            found.push(
                violation(
                    format!(
                        "{} and {} connect the same units",
                        path(before),
                        path(place)
                    ),
                    "give each of them other cell types in from and to",
                )
                .at(path(before), "one")
                .at(path(place), "the other"),
            );
        }
        let projection = &pair.projections[place];
        let degrees = [
            ("in_degree", projection.in_degree, pre, post),
            ("out_degree", projection.out_degree, post, pre),
        ];
        for (name, degree, partners, own) in degrees {
            let Some(degree) = degree.filter(|_| !own.is_empty()) else {
                continue;
            };
            let itself = !config.self_connections && pair.from == pair.to && share(partners, own);
            let most = partners.len() - usize::from(itself);
            if degree > most {
                let message = format!(
                    "{}.{name} = {degree}, but there are {most} units that one of {} can be connected with",
                    path(place),
                    if name == "in_degree" {
                        pair.to
                    } else {
                        pair.from
                    }
                );
                let help = format!("{name} = {most} or less");
                found.push(violation(message, help).at(format!("{}.{name}", path(place)), ""));
            }
        }
    }
    found
}

/// Returns the violations of the rules about inputs and outputs of areas.
pub(super) fn of_channels(
    config: &CtrnnConfig,
    inputs: &[String],
    outputs: &[String],
) -> Vec<Violation> {
    let mut found = Vec::new();
    if config.groups.is_empty() {
        return found;
    }
    for (area, own) in config.areas.iter() {
        let read_out = match &own.read_out {
            Some(ReadOut::Of(names)) => Some(names),
            _ => None,
        };
        let lists = [
            ("inputs", "an input", own.inputs.as_ref(), inputs),
            ("read_out", "an output", read_out, outputs),
        ];
        for (key, kind, names, all) in lists {
            let names = names.into_iter().flatten().enumerate();
            for (place, name) in names.filter(|(_, name)| !all.iter().any(|c| is_name_of(name, c)))
            {
                let path = format!("{AREAS}.{area}.{key}[{place}]");
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                let help = known(name, "the task has", &all);
                let message = format!("{name:?} in {AREAS}.{area}.{key} is not {kind} of the task");
                found.push(Violation::new(Topic::Word, message, help).at(path, ""));
            }
        }
    }
    if found.is_empty() {
        found.extend(without_input(config, inputs));
        found.extend(unread(config, outputs));
    }
    found
}

/// Checks that some area receives an input, if the task has any.
fn without_input(config: &CtrnnConfig, inputs: &[String]) -> Option<Violation> {
    let mut areas = config.areas.iter();
    let is_blind = areas.all(|(_, area)| area.channels_received(inputs).is_empty());
    (is_blind && !inputs.is_empty()).then(|| {
        violation(
            "the inputs reach no unit: every area has inputs = []",
            "name the inputs of one area, or remove its key inputs: it then receives all",
        )
        .at(AREAS, "")
    })
}

/// Checks that every output reads some area.
fn unread(config: &CtrnnConfig, outputs: &[String]) -> Option<Violation> {
    let read: Vec<usize> = config
        .areas
        .iter()
        .flat_map(|(_, area)| config.channels_driven(area, outputs))
        .collect();
    let unread = (0..outputs.len()).filter(|k| !read.contains(k));
    let unread: Vec<&str> = unread.map(|k| outputs[k].as_str()).collect();
    (!unread.is_empty()).then(|| {
        violation(
            format!(
                "no area drives the output {}",
                quoted(unread.iter().copied())
            ),
            "read_out = true in an area, or a list with all of its outputs",
        )
        .at(AREAS, "")
    })
}

/// Checks that areas have been resolved: otherwise they would be ignored silently.
pub(crate) fn unresolved(config: &CtrnnConfig) -> Option<Violation> {
    (!config.areas.is_empty() && config.groups.is_empty()).then(|| {
        violation(
            "model.areas has not been resolved",
            "CtrnnConfig::resolved puts masks, signs and time constants in its place",
        )
        .at(AREAS, "")
    })
}

impl CtrnnConfig {
    /// Returns true if `"FROM -> TO"` names areas between which there are connections.
    pub fn is_projection(&self, word: &str) -> bool {
        let Some(direction) = Direction::parse(word) else {
            return false;
        };
        let pairs = self.pairs_of_areas();
        let mut connected = pairs.iter().filter(|pair| !pair.projections.is_empty());
        connected.any(|pair| direction.fit(pair.from, pair.to).is_some())
    }
}
