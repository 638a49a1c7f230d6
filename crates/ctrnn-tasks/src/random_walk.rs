//! The random walk of an animal in a square box.

use std::f64::consts::{PI, TAU};

use ctrnn_random::Rng;

/// A random walk in a square box with reflecting walls. The heading diffuses; the speed is drawn independently in each
/// time
/// step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RandomWalk {
    /// Side of the box, in cm; positions are from 0 to this.
    pub side_cm: f64,
    /// Mean speed, in cm/s.
    pub speed: f64,
    /// Standard deviation of the speed, in cm/s; negative speeds are set to 0.
    pub speed_std: f64,
    /// Standard deviation of the change of heading over one second, in radians.
    pub turning: f64,
}

/// Position and heading of the animal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pose {
    /// Position in cm.
    pub position: [f64; 2],
    /// Heading in radians.
    pub heading: f64,
}

impl RandomWalk {
    /// Draws a position in the box, uniformly, and a heading.
    pub fn anywhere(&self, rng: &mut Rng) -> Pose {
        Pose {
            position: [(); 2].map(|()| rng.uniform_in(0.0, self.side_cm)),
            heading: rng.uniform_in(0.0, TAU),
        }
    }

    /// Returns the middle of the box, with a random heading.
    pub fn in_the_middle(&self, rng: &mut Rng) -> Pose {
        Pose {
            position: [self.side_cm / 2.0; 2],
            heading: rng.uniform_in(0.0, TAU),
        }
    }

    /// Draws the pose after `dt_s` seconds.
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

    /// Reflects a coordinate at the walls, and returns it with true if it was outside.
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
