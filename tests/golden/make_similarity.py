"""Numbers of the test `similarities_are_those_of_numpy` in crates/ctrnn-analysis/src/population/tests.rs, from the definitions alone."""
import numpy as np

def rates(k, n_units):
    b, t, u = np.meshgrid(np.arange(4), np.arange(6), np.arange(n_units), indexing="ij")
    x = np.sin((b * 7 + t * (k + 1) + u * u) * 0.37 + k).reshape(-1, n_units)
    x = x - x.mean(axis=0)
    return x / np.linalg.norm(x)

def cka(x, y):
    return np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))

def procrustes(x, y):
    return np.arccos(min(1, np.linalg.svd(x.T @ y, compute_uv=False).sum()))

networks = [rates(0, 3), rates(1, 3), rates(2, 4)]
angles = np.array([[procrustes(x, y) for y in networks] for x in networks])
np.fill_diagonal(angles, 0)
centre = np.eye(3) - 1 / 3
values, vectors = np.linalg.eigh(-0.5 * centre @ angles**2 @ centre)
largest = np.argsort(-values)[:2]
points = vectors[:, largest] * np.sqrt(values[largest])
points *= np.sign(points[np.abs(points).argmax(axis=0), [0, 1]])
print("CKA", np.array([[cka(x, y) for y in networks] for x in networks]))
print("PROCRUSTES", angles)
print("POINTS", points)
