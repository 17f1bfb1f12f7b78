import CGLENCUDA
import GLENTensor
import Synchronization

/// What is taken down on this thread: launches go to a stream that keeps them, and memory stays the
/// recording's.
///
/// `@unchecked Sendable`: one thread uses it until the recording is made.
final class Capture: @unchecked Sendable {
  @TaskLocal static var current: Capture?

  let owner: ObjectIdentifier
  let stream: UnsafeMutableRawPointer
  private(set) var blocks: [(address: UnsafeMutableRawPointer, byteCount: Int)] = []
  private var addresses: Set<UInt> = []
  var failure: String?

  init(owner: ObjectIdentifier, stream: UnsafeMutableRawPointer) {
    (self.owner, self.stream) = (owner, stream)
  }

  /// Keeps memory for the recording.
  func add(_ address: UnsafeMutableRawPointer, byteCount: Int) {
    blocks.append((address, byteCount))
    addresses.insert(UInt(bitPattern: address))
  }

  /// Whether memory is this recording's.
  func holds(_ address: UnsafeMutableRawPointer) -> Bool {
    addresses.contains(UInt(bitPattern: address))
  }
}

extension CUDABackend {
  /// cuBLAS's own workspace belongs to its stream; recorded products have one of this size.
  static let workspaceByteCount = 32 << 20

  /// What this thread takes down of this backend's work.
  var capture: Capture? {
    guard let capture = Capture.current, capture.owner == ObjectIdentifier(self) else { return nil }
    return capture
  }

  /// Takes work down as a CUDA graph.
  public func recording(of body: () throws -> Tensor) -> (any RecordedWork)? {
    guard profile == nil, Capture.current == nil else { return nil }
    let driver = libraries.driver.pointee
    enter()
    let nonBlocking: UInt32 = 1
    // Calls that other threads make meanwhile go to their own stream, and memory may be asked for.
    let relaxed: Int32 = 2
    var stream: UnsafeMutableRawPointer?
    guard driver.cuStreamCreate(&stream, nonBlocking) == 0, let stream else { return nil }
    defer { _ = driver.cuStreamDestroy_v2(stream) }
    guard driver.cuStreamBeginCapture_v2(stream, relaxed) == 0 else { return nil }
    let capture = Capture(owner: ObjectIdentifier(self), stream: stream)
    let losses = lostCopies.load(ordering: .relaxed)
    var made = Capture.$current.withValue(capture) { try? body() }
    var graph: UnsafeMutableRawPointer?
    let status = driver.cuStreamEndCapture(stream, &graph)
    defer { if let graph { _ = driver.cuGraphDestroy(graph) } }
    // The stream ends here, and another may get its address.
    roundedFactors.withLock { _ in chooseProductStream() }
    forgetCopies(in: capture)
    var executable: UnsafeMutableRawPointer?
    if let graph, made != nil, status == 0, capture.failure == nil,
      driver.cuGraphInstantiateWithFlags(&executable, graph, 0) != 0
    {
      executable = nil
    }
    guard let executable, let tensor = made else {
      // What is wrong with the work itself shows when it is done. A tensor that is let go of later would give
      // its memory back once more.
      made = nil
      giveBack(capture.blocks)
      return nil
    }
    return CUDARecording(
      of: executable, blocks: capture.blocks, result: tensor, losses: losses, on: self)
  }

  /// Sends cuBLAS's next products to the stream of this thread's work; under the lock of the handle.
  func chooseProductStream() {
    let wanted = workStream
    guard productStream != wanted else { return }
    productStream = wanted
    _ = libraries.blas.pointee.cublasSetStream_v2(blas, wanted)
    guard wanted != stream else { return }
    if productWorkspace == nil {
      productWorkspace = memory.allocate(byteCount: Self.workspaceByteCount)
    }
    if let productWorkspace {
      _ = libraries.blas.pointee.cublasSetWorkspace_v2(
        blas, productWorkspace, UInt(Self.workspaceByteCount))
    }
  }

  /// Where this thread's launches go.
  var workStream: UnsafeMutableRawPointer { capture?.stream ?? stream }

  /// Memory, which stays a recording's where one is made.
  func obtain(byteCount: Int) -> UnsafeMutableRawPointer? {
    guard let address = memory.allocate(byteCount: byteCount) else { return nil }
    if let capture {
      capture.add(address, byteCount: byteCount)
      let key = UInt(bitPattern: address)
      recordedBlocks.withLock { _ = $0.insert(key) }
    }
    return address
  }

  /// Gives memory back that is not a recording's.
  func giveBack(_ address: UnsafeMutableRawPointer, byteCount: Int) {
    if !isRecorded(address) { memory.free(address, byteCount: byteCount) }
  }

  /// Whether memory is a recording's.
  func isRecorded(_ address: UnsafeMutableRawPointer) -> Bool {
    let key = UInt(bitPattern: address)
    return recordedBlocks.withLock { !$0.isEmpty && $0.contains(key) }
  }

  /// Gives a recording's memory back.
  func giveBack(_ blocks: [(address: UnsafeMutableRawPointer, byteCount: Int)]) {
    let keys = blocks.map { UInt(bitPattern: $0.address) }
    recordedBlocks.withLock { $0.subtract(keys) }
    for block in blocks { memory.free(block.address, byteCount: block.byteCount) }
  }

  /// Rounded copies in a recording's memory are numbers only while it runs.
  private func forgetCopies(in capture: Capture) {
    roundedFactors.withLock { kept in
      kept = kept.compactMapValues { factors in
        let others = factors.filter { !capture.holds($0.memory) }
        return others.isEmpty ? nil : others
      }
    }
  }
}

/// A CUDA graph with the memory of all that it makes.
///
/// `@unchecked Sendable`: the handle never changes, and one thread at a time starts it.
final class CUDARecording: RecordedWork, @unchecked Sendable {
  private let backend: CUDABackend
  private let executable: UnsafeMutableRawPointer
  private let blocks: [(address: UnsafeMutableRawPointer, byteCount: Int)]
  private var made: Tensor?
  private let losses: Int

  init(
    of executable: UnsafeMutableRawPointer,
    blocks: [(address: UnsafeMutableRawPointer, byteCount: Int)], result: Tensor, losses: Int,
    on backend: CUDABackend
  ) {
    (self.executable, self.blocks, self.losses) = (executable, blocks, losses)
    (made, self.backend) = (result, backend)
  }

  func result(for ids: [Int32], in region: Region) throws(TensorError) -> Tensor? {
    guard let made else { return nil }
    let copy = try Tensor(unset: made.shape, on: backend)
    let driver = backend.libraries.driver.pointee
    // The lock keeps rounded weights where the graph reads them, and each caller's ids and result
    // together.
    let isDone = backend.roundedFactors.withLock { _ in
      guard backend.lostCopies.load(ordering: .relaxed) == losses else { return false }
      ids.withUnsafeBytes { backend.upload($0, to: region.address) }
      backend.enter()
      backend.note(driver.cuGraphLaunch(executable, backend.stream), "a recorded rollout")
      backend.note(
        driver.cuMemcpyDtoDAsync_v2(
          UInt64(UInt(bitPattern: copy.region.address)),
          UInt64(UInt(bitPattern: made.region.address)), UInt(4 * copy.count), backend.stream),
        "copy of \(copy.count) elements")
      return true
    }
    return isDone ? copy : nil
  }

  deinit {
    made = nil
    backend.enter()
    // What is being done may still read the graph and its memory; later work is behind it.
    _ = backend.libraries.driver.pointee.cuStreamSynchronize(backend.stream)
    _ = backend.libraries.driver.pointee.cuGraphExecDestroy(executable)
    backend.giveBack(blocks)
  }
}
