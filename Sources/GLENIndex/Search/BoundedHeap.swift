/// Keeps the largest elements of a stream, as many as its capacity.
struct BoundedHeap<Element: Comparable & Sendable>: Sendable {
  let capacity: Int

  /// A binary heap with the smallest kept element at the root.
  private(set) var elements: [Element] = []

  init(capacity: Int) {
    self.capacity = max(capacity, 0)
  }

  var isFull: Bool { elements.count == capacity }

  /// The element that the next better one replaces.
  var smallest: Element? { elements.first }

  /// Whether an element would be taken in.
  @inline(__always)
  func accepts(_ element: Element) -> Bool {
    guard isFull, let smallest else { return capacity > 0 }
    return smallest < element
  }

  /// Takes an element in, unless the heap is full of larger ones.
  @inline(__always)
  mutating func insert(_ element: Element) {
    if elements.count < capacity {
      elements.append(element)
      siftUp(from: elements.count - 1)
    } else if let root = elements.first, root < element {
      elements[0] = element
      siftDown()
    }
  }

  /// What is kept, largest first.
  func descending() -> [Element] {
    elements.sorted { $1 < $0 }
  }

  private mutating func siftUp(from index: Int) {
    var child = index
    while child > 0 {
      let parent = (child - 1) / 2
      guard elements[child] < elements[parent] else { return }
      elements.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown() {
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < elements.count else { return }
      if child + 1 < elements.count, elements[child + 1] < elements[child] { child += 1 }
      guard elements[child] < elements[parent] else { return }
      elements.swapAt(child, parent)
      parent = child
    }
  }
}
