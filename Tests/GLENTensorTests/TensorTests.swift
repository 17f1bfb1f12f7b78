import Synchronization
import Testing

@testable import GLENTensor

@Suite("Tensors")
struct TensorTests {
  @Test func copiesAreValues() throws {
    let a = try Tensor([1, 2], shape: [2])
    var b = a
    try b.makeUnique()
    b.backend.fill(b.region, with: 9, count: 2)
    #expect(try a.values() == [1, 2])
    #expect(try b.values() == [9, 9])
  }

  @Test func anUnsharedTensorIsNotCopied() throws {
    var a = try Tensor([1, 2], shape: [2])
    let address = a.storage.address
    try a.makeUnique()
    #expect(a.storage.address == address)
  }

  @Test func aScalarHasNoExtents() throws {
    let scalar = try Tensor([4], shape: [])
    #expect(scalar.count == 1 && scalar.rows == 1 && scalar.width == 1)
    #expect(try scalar.scalar() == 4)
  }

  @Test func emptyTensorsAreAllowed() throws {
    let empty = try Tensor([], shape: [0, 7])
    #expect(try empty.values() == [])
    #expect(empty.rows == 0 && empty.width == 7)
    #expect(try relu(empty).shape == [0, 7])
  }

  @Test(arguments: [[-1], [-2, -3], [2, -1, 0], [Int.max], [1 << 40, 1 << 40], [0, 1 << 62]])
  func impossibleShapesAreRefused(_ shape: [Int]) throws {
    let error = TensorError.invalidArgument(
      operation: "Tensor", reason: "no tensor can have the shape \(shape)")
    #expect(throws: error) { try Tensor(unset: shape, on: CPUBackend.shared) }
    #expect(throws: error) { try Tensor([1, 2, 3, 4, 5, 6], shape: shape) }
    let six = try Tensor([1, 2, 3, 4, 5, 6], shape: [6])
    #expect(throws: TensorError.self) { try six.reshaped(to: shape) }
  }

  @Test func movingGoesThroughTheHost() throws {
    let other = CPUBackend(threadCount: 1)
    let a = try Tensor([1, 2], shape: [2])
    let b = try a.moved(to: other)
    #expect(b.backend === other)
    #expect(try b.values() == [1, 2])
    #expect(try a.moved(to: a.backend).storage === a.storage)
    let model = try [a].moved(to: other)
    #expect(model[0].backend === other)
  }

  @Test func freedMemoryIsUsedAgainAndPeaksAreKnown() throws {
    let backend = CPUBackend(threadCount: 1)
    var first: Tensor? = try Tensor(unset: [1000], on: backend)
    let address = first?.storage.address
    first = nil
    let second = try Tensor(unset: [990], on: backend)
    #expect(second.storage.address == address)
    #expect(backend.peakByteCount == MemoryPool.roundedSize(4000))
  }

  @Test func sizesAreRoundedUpByAnEighthAtMost() {
    for size in Array(0...5000) + [1 << 20, (1 << 20) + 1, 123_456_789] {
      let rounded = MemoryPool.roundedSize(size)
      #expect(rounded >= size && rounded % 64 == 0)
      #expect(rounded <= max(size + 64, size + size / 8 + 1))
    }
  }

  @Test func addressesAreAligned() throws {
    for count in [0, 1, 17, 5000] {
      let tensor = try Tensor(unset: [count], on: CPUBackend.shared)
      #expect(Int(bitPattern: tensor.storage.address) % 64 == 0)
    }
  }

  @Test func idsKnowWhatIsInThem() throws {
    let ids = try TokenIDs([3, -1, 7, 0])
    #expect(ids.count == 4 && ids.validCount == 3)
    #expect(try ids.values() == [3, -1, 7, 0])
  }

  @Test func offsetsAreSums() throws {
    let offsets = try SequenceOffsets(lengths: [3, 1, 5])
    #expect(offsets.offsets == [0, 3, 4, 9])
    #expect(offsets.count == 3 && offsets.longest == 5 && offsets.totalLength == 9)
    let none = try SequenceOffsets(lengths: [])
    #expect(none.count == 0 && none.longest == 0 && none.totalLength == 0)
  }

  @Test func threadsComeFromTheArgument() {
    #expect(CPUBackend(threadCount: 3).threadCount == 3)
    #expect(CPUBackend(threadCount: -5).threadCount == 1)
    #expect(CPUBackend.shared.threadCount >= 1)
  }

  @Test(arguments: [(0, 1), (1, 1), (10, 3), (11, 4), (100, 1), (5, 0)])
  func partsCoverEverythingOnce(count: Int, grain: Int) {
    let parts = Mutex<[Range<Int>]>([])
    CPUBackend(threadCount: 3).parallel(count, grain: grain) { range in
      parts.withLock { $0.append(range) }
    }
    let ranges = parts.withLock { $0 }
    #expect(ranges.flatMap { Array($0) }.sorted() == Array(0..<count))
    #expect(ranges.allSatisfy { $0.count >= min(grain, count) })
    #expect(ranges.count <= 3)
  }
}
