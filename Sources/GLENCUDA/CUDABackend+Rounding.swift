import GLENTensor
import Synchronization

/// Elements of a tensor in bfloat16, as factors of products.
///
/// `@unchecked Sendable`: device memory, which every thread may name.
struct RoundedFactor: @unchecked Sendable {
  /// The first element in its storage, and how many there are.
  var offset: Int, count: Int
  /// Where they are, rounded.
  var memory: UnsafeMutableRawPointer
  /// Whether they are nowhere else: nobody has asked for them in float32 so far.
  var isAlone = false
  /// Whether a recording that did not make them reads them here.
  var isRecorded = false
}

/// The rounded factors that exist, by the address of the storage that they are copies of.
///
/// A weight is rounded once and multiplied with many times; what goes into a layer is multiplied with
/// again in the backward; and whoever writes a result can round it before it leaves the registers. So a
/// copy stays until its storage is freed or written, or the memory is wanted: every function of the
/// backend counts as writing the regions that it does not mark as read only. An update of a weight writes its
/// copy, too.
///
/// Of large results that products alone are likely to read, the float32 elements are not even written:
/// half of what layers do is to wait for memory. Whoever does read them, `widen` writes them first.
///
/// A copy's address is good for as long as the lock is held: whoever calls a kernel with one looks it up and
/// starts the kernel in one go.
typealias RoundedFactors = [UInt: [RoundedFactor]]

/// When factors are rounded and kept.
struct Rounding {
  /// The multiplications of a product for which factors are rounded first.
  var leastProduct = 1 << 24
  /// The elements of a weight, say, that is rounded for a factor that is rounded already.
  var leastFactor = 1 << 18
  /// Whether copies outlive their first product.
  var keepsCopies = true
  /// The elements of a result of which only the copy is written at first.
  var leastAlone = 1 << 20
}

extension CUDABackend {
  /// The first GPU with products of bfloat16, whose factors are rounded however small they are, and
  /// results written so wherever they may be: the kernels for that at extents that can be checked.
  package static func roundingEverything() throws(CUDAError) -> CUDABackend {
    try CUDABackend(
      libraries: try .load(), ordinal: 0, precision: .bfloat16, memoryBudget: .max,
      cacheFolder: CUDAProgram.cacheFolder,
      rounding: Rounding(leastProduct: 0, leastFactor: 0, leastAlone: 0))
  }
}

extension Storage {
  /// What the rounded factors are found by.
  var key: UInt { UInt(bitPattern: address) }
}

extension CUDABackend {
  /// A matrix in bfloat16: the copy that exists, or a new one; nil where there is no memory for it.
  func rounded(
    _ region: Region, count: Int, _ kept: inout RoundedFactors
  ) -> UnsafeMutableRawPointer? {
    let storage = region.storage.key
    if let index = kept[storage]?.firstIndex(where: {
      $0.offset == region.offset && $0.count == count && isReadable($0)
    }), let memory = kept[storage]?[index].memory {
      if capture != nil, !isRecorded(memory) { kept[storage]?[index].isRecorded = true }
      return memory
    }
    guard let memory = obtain(byteCount: 2 * count) else { return nil }
    // A part of what only a copy has is rounded from the elements, which must be there.
    widen(region.storage, &kept)
    start(
      .round, blocks: (Self.blocks(for: count / 8), 1, 1),
      [.address(region.address), .address(memory), .count(count / 8)])
    kept[storage, default: []].append(
      RoundedFactor(offset: region.offset, count: count, memory: memory))
    return memory
  }

  /// Whether a copy exists.
  func isRounded(_ region: Region, count: Int, _ kept: RoundedFactors) -> Bool {
    kept[region.storage.key]?.contains {
      $0.offset == region.offset && $0.count == count && isReadable($0)
    } ?? false
  }

  /// Whether this thread's work may read a copy: what another thread's recording makes is not there yet.
  private func isReadable(_ factor: RoundedFactor) -> Bool {
    !isRecorded(factor.memory) || capture?.holds(factor.memory) == true
  }

  /// Where a kernel may write the rounded copy of what it writes to a region, for `keep` to remember;
  /// nowhere if products are not of bfloat16.
  func roundedTarget(_ region: Region, count: Int) -> UnsafeMutableRawPointer? {
    guard precision == .bfloat16, rounding.keepsCopies, count > 0, count % 8 == 0,
      region.offset % 4 == 0
    else { return nil }
    return obtain(byteCount: 2 * count)
  }

  /// Whether of a result only the copy need be written.
  func isAlone(_ copy: UnsafeMutableRawPointer?, count: Int, accumulating: Bool = false) -> Bool {
    copy != nil && count >= rounding.leastAlone && !accumulating
  }

  /// Remembers the copy that a kernel, which was started just now, writes.
  func keep(
    _ memory: UnsafeMutableRawPointer?, of region: Region, count: Int, isAlone: Bool = false
  ) {
    guard let memory else { return }
    let factor = RoundedFactor(
      offset: region.offset, count: count, memory: memory, isAlone: isAlone)
    let storage = region.storage.key
    roundedFactors.withLock { $0[storage, default: []].append(factor) }
  }

  /// The copy of elements that are nowhere else.
  func aloneCopy(
    of region: Region, count: Int, _ kept: RoundedFactors
  ) -> UnsafeMutableRawPointer? {
    kept[region.storage.key]?.first {
      $0.isAlone && $0.offset == region.offset && $0.count == count
    }?.memory
  }

  /// Whether elements are nowhere but in a copy.
  func isAlone(_ region: Region, count: Int) -> Bool {
    precision == .bfloat16
      && roundedFactors.withLock { aloneCopy(of: region, count: count, $0) != nil }
  }

  /// What a kernel that reads elements in either form is called with; as bfloat16 they take places of
  /// whole 16 bytes.
  static func source(
    _ region: Region, count: Int, isAligned: Bool = true
  ) -> (elements: KernelArgument, halves: KernelArgument) {
    isAligned
      ? (.settled(region), .halves(region, count: count)) : (.input(region), .address(nil))
  }

  /// What a kernel that starts now is called with: elements are there in the form in which it reads them.
  ///
  /// Copies of what it writes go once it is started, because it may read one.
  func settled(_ argument: KernelArgument, _ kept: inout RoundedFactors) -> KernelArgument {
    switch argument {
    case .at(let region?), .input(let region?): widen(region.storage, &kept)
    case .halves(let region, let count):
      if let copy = aloneCopy(of: region, count: count, kept) { return .address(copy) }
      widen(region.storage, &kept)
    case .replacing(let region, let count):
      // What is overwritten whole need not be there as float32 first; what lies beside it must be.
      let hasOthers = kept[region.storage.key]?.contains {
        $0.isAlone && ($0.offset != region.offset || $0.count != count)
      }
      if hasOthers == true { widen(region.storage, &kept) }
    default: break
    }
    return argument
  }

  /// Writes the float32 elements of what is read now, where only copies exist.
  func widen(_ regions: Region?...) {
    guard precision == .bfloat16 else { return }
    roundedFactors.withLock { kept in
      for case let region? in regions { widen(region.storage, &kept) }
    }
  }

  /// Writes the float32 elements of a storage, where only copies exist.
  func widen(_ storage: Storage, _ kept: inout RoundedFactors) {
    guard let factors = kept[storage.key], factors.contains(where: \.isAlone) else { return }
    for factor in factors where factor.isAlone { unround(factor, at: storage.address) }
    for index in factors.indices { kept[storage.key]?[index].isAlone = false }
  }

  /// Lets go of the copies of what is written now, in whole or in part.
  func forgetRounded(_ regions: Region?...) {
    guard precision == .bfloat16 else { return }
    roundedFactors.withLock { kept in
      for case let region? in regions {
        widen(region.storage, &kept)
        forget(region.storage.key, &kept)
      }
    }
  }

  /// Lets go of the copies of a storage.
  func forget(_ storage: UInt, _ kept: inout RoundedFactors) {
    for factor in kept.removeValue(forKey: storage) ?? [] {
      if factor.isRecorded { lostCopies.add(1, ordering: .relaxed) }
      giveBack(factor.memory, byteCount: 2 * factor.count)
    }
  }

  /// Lets go of all copies of what is elsewhere too; with `widening`, of what is in copies alone as well,
  /// once it is.
  func forgetAllRounded(widening: Bool = false) {
    roundedFactors.withLock { kept in
      if widening { widenAll(&kept) }
      for factor in kept.values.joined() where !factor.isAlone {
        if factor.isRecorded { lostCopies.add(1, ordering: .relaxed) }
        giveBack(factor.memory, byteCount: 2 * factor.count)
      }
      kept = kept.compactMapValues { factors in
        let alone = factors.filter(\.isAlone)
        return alone.isEmpty ? nil : alone
      }
    }
  }

  /// Writes the float32 elements of everything, but for what a recording will make.
  private func widenAll(_ kept: inout RoundedFactors) {
    guard capture == nil else { return }
    for (storage, factors) in kept {
      guard let address = UnsafeMutableRawPointer(bitPattern: storage) else { continue }
      for (index, factor) in factors.enumerated()
      where factor.isAlone && !isRecorded(factor.memory) {
        unround(factor, at: address)
        kept[storage]?[index].isAlone = false
      }
    }
  }

  /// Starts writing a copy's elements as float32 to where they belong.
  private func unround(_ factor: RoundedFactor, at storage: UnsafeMutableRawPointer) {
    start(
      .unround, blocks: (Self.blocks(for: factor.count / 4), 1, 1),
      [
        .address(factor.memory), .address(storage + 4 * factor.offset), .count(factor.count / 4),
      ])
  }
}
