//! An animal that wanders about a square box.

use std::f64::consts::{PI, TAU};

use ctrnn_random::Rng;

/// A walk in a square box with walls that reflect. The heading diffuses; the speed of each time step is
/// drawn anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RandomWalk {
    /// The side of the box, in cm; positions run from 0 to it.
    pub side_cm: f64,
    /// Mean speed, in cm/s.
    pub speed: f64,
    /// Standard deviation of the speed, in cm/s; speeds below 0 are taken as 0.
    pub speed_std: f64,
    /// Standard deviation of the change of heading over one second, in radians.
    pub turning: f64,
}

/// Where the animal is and where it heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pose {
    /// In cm.
    pub position: [f64; 2],
    /// In radians.
    pub heading: f64,
}

impl RandomWalk {
    /// Anywhere in the box.
    pub fn anywhere(&self, rng: &mut Rng) -> Pose {
        let place = |rng: &mut Rng| rng.uniform_in(0.0, self.side_cm);
        Pose {
            position: [place(rng), place(rng)],
            heading: rng.uniform_in(0.0, TAU),
        }
    }

    /// In the middle of the box, with any heading.
    pub fn in_the_middle(&self, rng: &mut Rng) -> Pose {
        Pose {
            position: [self.side_cm / 2.0; 2],
            heading: rng.uniform_in(0.0, TAU),
        }
    }

    /// Where the animal is after `dt_s` seconds.
    pub fn step(&self, pose: Pose, dt_s: f64, rng: &mut Rng) -> Pose {
        let heading = pose.heading + self.turning * dt_s.sqrt() * f64::from(rng.normal());
        let speed = (self.speed + self.speed_std * f64::from(rng.normal())).max(0.0);
        let (sin, cos) = heading.sin_cos();
        let [x, y] = pose.position;
        let (x, x_turned) = self.reflect(x + speed * dt_s * cos);
        let (y, y_turned) = self.reflect(y + speed * dt_s * sin);
        let heading = if x_turned { PI - heading } else { heading };
        Pose {
            position: [x, y],
            heading: if y_turned { -heading } else { heading },
        }
    }

    /// A coordinate mirrored at the walls, and whether it was.
    fn reflect(&self, x: f64) -> (f64, bool) {
        if x < 0.0 {
            ((-x).min(self.side_cm), true)
        } else if x > self.side_cm {
            ((2.0 * self.side_cm - x).max(0.0), true)
        } else {
            (x, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    const STRAIGHT: RandomWalk = RandomWalk {
        side_cm: 100.0,
        speed: 20.0,
        speed_std: 0.0,
        turning: 0.0,
    };

    /// 20 cm/s for half a second towards a wall that is 4 cm away: 6 cm before it again, turned back.
    #[test]
    fn walls_reflect() {
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let pose = Pose {
            position: [96.0, 50.0],
            heading: 0.0,
        };
        let next = STRAIGHT.step(pose, 0.5, &mut rng);
        assert!((next.position[0] - 94.0).abs() < 1e-9 && (next.position[1] - 50.0).abs() < 1e-9);
        assert!((next.heading - PI).abs() < 1e-9);
    }

    #[test]
    fn the_walk_stays_inside_and_goes_everywhere() {
        let walk = RandomWalk {
            speed_std: 5.0,
            turning: 1.0,
            ..STRAIGHT
        };
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let mut pose = walk.in_the_middle(&mut rng);
        let mut visits = [0; 4];
        for _ in 0..20_000 {
            pose = walk.step(pose, 0.1, &mut rng);
            assert!(pose.position.iter().all(|x| (0.0..=100.0).contains(x)));
            let [x, y] = pose.position.map(|x| usize::from(x > 50.0));
            visits[2 * x + y] += 1;
        }
        assert!(visits.iter().all(|&n| n > 2000), "{visits:?}");
    }
}
