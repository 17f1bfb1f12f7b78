/// Divides a rectangle into smaller ones whose areas are in proportion to numbers, as near to squares
/// as rows allow.
///
/// Bruls, Huizing and van Wijk: Squarified Treemaps, 2000.
enum TreeMap {
  /// A rectangle, in whatever unit its owner has.
  struct Box: Equatable {
    var x: Double
    var y: Double
    var width: Double
    var height: Double
  }

  /// The boxes of numbers above 0, which should come largest first.
  static func boxes(of values: [Double], in box: Box) -> [Box] {
    let total = values.reduce(0, +)
    guard total > 0 else { return [] }
    let areas = values.map { $0 / total * box.width * box.height }
    var (rest, result, first) = (box, [Box](), 0)
    while first < areas.count {
      let side = min(rest.width, rest.height)
      var end = first + 1
      while end < areas.count,
        worstRatio(areas[first...end], side) <= worstRatio(areas[first..<end], side)
      {
        end += 1
      }
      result += cut(areas[first..<end], from: &rest)
      first = end
    }
    return result
  }

  /// The largest ratio of a box's long side to its short one, when a row stands along a side.
  private static func worstRatio(_ row: ArraySlice<Double>, _ side: Double) -> Double {
    let sum = row.reduce(0, +)
    guard let largest = row.max(), let smallest = row.min(), smallest > 0, sum > 0 else {
      return .infinity
    }
    let squares = (side * side, sum * sum)
    return max(squares.0 * largest / squares.1, squares.1 / (squares.0 * smallest))
  }

  /// Places a row along the shorter side and takes it off what is left.
  private static func cut(_ row: ArraySlice<Double>, from rest: inout Box) -> [Box] {
    let sum = row.reduce(0, +)
    let isColumn = rest.width >= rest.height
    let side = isColumn ? rest.height : rest.width
    let thickness = side > 0 ? sum / side : 0
    var (boxes, place) = ([Box](), 0.0)
    for area in row {
      let length = thickness > 0 ? area / thickness : 0
      boxes.append(
        isColumn
          ? Box(x: rest.x, y: rest.y + place, width: thickness, height: length)
          : Box(x: rest.x + place, y: rest.y, width: length, height: thickness))
      place += length
    }
    if isColumn {
      (rest.x, rest.width) = (rest.x + thickness, max(rest.width - thickness, 0))
    } else {
      (rest.y, rest.height) = (rest.y + thickness, max(rest.height - thickness, 0))
    }
    return boxes
  }
}
