// The server's one arithmetic (service/partition.py), for drawing: z = (x - mean) / scale, nearest centroid.

/** The card of a model, as something that assigns. */
export class Segmentation {
  constructor(card) {
    this.card = card;
    this.version = card.model_version;
    this.isLog = card.transform === "log1p";
    this.mean = card.scaling.mean;
    this.scale = card.scaling.scale;
    const described = new Map((card.training.segments ?? []).map((segment) => [segment.id, segment]));
    // Colour and mark go by the id, so that a segment keeps them from version to version.
    this.segments = card.segments.map((segment, place) => ({
      ...(described.get(segment.id) ?? {}), ...segment, place, mark: segment.id,
    }));
    this.centroids = this.segments.map((segment) => segment.centroid_scaled);
  }

  scaled(age, power) {
    const y = this.isLog ? Math.log1p(power) : power;
    return [(age - this.mean[0]) / this.scale[0], (y - this.mean[1]) / this.scale[1]];
  }

  /** Return a point of scaled space in the user's units. */
  unscaled([x, y]) {
    const power = y * this.scale[1] + this.mean[1];
    return [x * this.scale[0] + this.mean[0], this.isLog ? Math.expm1(power) : power];
  }

  /** Return the place of the nearest centroid. */
  assign(age, power) {
    const [x, y] = this.scaled(age, power);
    let nearest = Infinity;
    let place = 0;
    for (let candidate = 0; candidate < this.centroids.length; candidate++) {
      const dx = x - this.centroids[candidate][0];
      const dy = y - this.centroids[candidate][1];
      const squared = dx * dx + dy * dy;
      if (squared < nearest) {
        nearest = squared;
        place = candidate;
      }
    }
    return place;
  }

  /** Return the distance to every centroid, in scaled space. */
  distances(age, power) {
    const [x, y] = this.scaled(age, power);
    return this.centroids.map(([cx, cy]) => Math.sqrt((x - cx) * (x - cx) + (y - cy) * (y - cy)));
  }

  byId(id) {
    return this.segments.find((segment) => segment.id === id);
  }

  /** The records that training kept for pictures: {Age: [...], Spending_Power: [...], ...} or null. */
  get sample() {
    const sample = this.card.training.baseline?.sample;
    return sample?.Age?.length ? sample : null;
  }

  /** The mean of a column over all customers. */
  overallMean(name) {
    const known = this.card.training.overall?.statistics?.[name]?.mean;
    if (known !== undefined) return known;
    const size = this.segments.reduce((sum, segment) => sum + segment.size, 0);
    return this.segments.reduce((sum, segment) => sum + segment.size * (segment.profile[name] ?? 0), 0) / size;
  }
}
