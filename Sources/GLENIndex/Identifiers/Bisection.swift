/// Search by halving.
enum Bisection {
  /// The first index at which a condition holds that stays true once it is; the end if none.
  @inline(__always)
  static func firstIndex(in range: Range<Int>, where holds: (Int) -> Bool) -> Int {
    var (lower, upper) = (range.lowerBound, range.upperBound)
    while lower < upper {
      let middle = lower + (upper - lower) / 2
      if holds(middle) { upper = middle } else { lower = middle + 1 }
    }
    return lower
  }
}
