import Testing

@testable import GLENIndex

@Suite struct DocumentSetTests {
  @Test(arguments: [0, 1, 63, 64, 65, 200])
  func agreesWithASetOfNumbers(capacity: Int) {
    var generator = SeededGenerator(seed: UInt64(capacity))
    var documents = DocumentSet(capacity: capacity)
    var expected: Set<Int> = []
    for _ in 0..<500 {
      let document = Int.random(in: -3...capacity + 3, using: &generator)
      if Bool.random(using: &generator) {
        let isInside = (0..<capacity).contains(document)
        let isNew = isInside && expected.insert(document).inserted
        #expect(documents.insert(document) == isNew)
      } else {
        #expect(documents.remove(document) == (expected.remove(document) != nil))
      }
      #expect(documents.contains(document) == expected.contains(document))
    }
    #expect(documents.count == expected.count)
    #expect(Array(documents) == expected.sorted())
    #expect(DocumentSet(expected, capacity: capacity) == documents)
    for range in [0..<capacity, 1..<max(capacity - 1, 1), 63..<64, 60..<capacity + 70] {
      let inside = expected.filter(range.contains).sorted()
      var visited: [Int] = []
      documents.forEach(in: range) { visited.append($0) }
      #expect(visited == inside)
      #expect(documents.count(in: range) == inside.count)
      #expect(documents.first(in: range) == inside.first)
    }
  }

  @Test func fullSetEndsAtItsBound() {
    let full = DocumentSet(capacity: 70, isFull: true)
    #expect(full.count == 70)
    #expect(Array(full) == Array(0..<70))
    #expect(!full.contains(70))
    #expect(DocumentSet(capacity: -4, isFull: true).count == 0)
  }

  @Test func combinesWithOthers() {
    var both = DocumentSet([1, 2, 64, 99], capacity: 100)
    both.formIntersection(DocumentSet([2, 64], capacity: 65))
    #expect(Array(both) == [2, 64])
    both.subtract(DocumentSet([2], capacity: 3))
    #expect(Array(both) == [64])
  }
}
