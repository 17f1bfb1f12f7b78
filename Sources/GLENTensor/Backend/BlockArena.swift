/// Blocks of many sizes that are cut from few large segments, and joined with their neighbours when they
/// are free again.
///
/// A chunk of other lengths asks for blocks of other sizes. Kept by size alone, those of the last chunk
/// would be of no use to it; joined, they are one piece of memory that any size is cut from. Addresses
/// are numbers here: the memory itself is never touched, so that it may be another device's.
struct BlockArena {
  private struct Block {
    var size: Int
    /// The neighbours in the segment.
    var previous: Int?
    var next: Int?
    var isFree: Bool
  }

  /// All blocks by address.
  private var blocks: [Int: Block] = [:]
  /// The free ones, the smallest first, those of one size by address.
  private var free: [(size: Int, address: Int)] = []
  /// A rest below this stays with the block that it would be cut from.
  private let smallestRest: Int

  init(smallestRest: Int) { self.smallestRest = smallestRest }

  /// Takes in a segment, which is one free block.
  mutating func add(segment address: Int, size: Int) {
    blocks[address] = Block(size: size, previous: nil, next: nil, isFree: true)
    insert(address, size: size)
  }

  /// Cuts a block from the smallest free one that is large enough; nil where there is none.
  ///
  /// - Returns: the address, and the size, which is larger than what was asked for by less than the
  ///   smallest rest.
  mutating func allocate(_ size: Int) -> (address: Int, size: Int)? {
    let place = firstFree(size: size, address: .min)
    guard place < free.count else { return nil }
    let (found, address) = free.remove(at: place)
    guard var block = blocks[address] else { return nil }
    block.isFree = false
    if found - size >= smallestRest {
      let rest = address + size
      blocks[rest] = Block(size: found - size, previous: address, next: block.next, isFree: true)
      if let next = block.next { blocks[next]?.previous = rest }
      insert(rest, size: found - size)
      (block.size, block.next) = (size, rest)
    }
    blocks[address] = block
    return (address, block.size)
  }

  /// Takes back a block, and joins it with free neighbours.
  ///
  /// - Returns: its size; 0 if there is no such block in use.
  mutating func release(_ address: Int) -> Int {
    guard var block = blocks[address], !block.isFree else { return 0 }
    let size = block.size
    var start = address
    block.isFree = true
    if let next = block.next, let neighbour = blocks[next], neighbour.isFree {
      remove(next, size: neighbour.size)
      blocks[next] = nil
      (block.size, block.next) = (block.size + neighbour.size, neighbour.next)
    }
    if let previous = block.previous, let neighbour = blocks[previous], neighbour.isFree {
      remove(previous, size: neighbour.size)
      blocks[address] = nil
      start = previous
      (block.size, block.previous) = (block.size + neighbour.size, neighbour.previous)
    }
    if let next = block.next { blocks[next]?.previous = start }
    blocks[start] = block
    insert(start, size: block.size)
    return size
  }

  /// Hands over segments none of which is in use, the largest first, until `enough` bytes are.
  mutating func takeUnused(enough: Int) -> [(address: Int, size: Int)] {
    var taken: [(address: Int, size: Int)] = []
    var sum = 0
    for (size, address) in free.reversed() where sum < enough {
      guard let block = blocks[address], block.previous == nil, block.next == nil else { continue }
      taken.append((address, size))
      sum += size
    }
    for (address, size) in taken {
      remove(address, size: size)
      blocks[address] = nil
    }
    return taken
  }

  /// The addresses of the free blocks, the smallest first.
  var freeRanges: [Range<Int>] { free.map { $0.address..<$0.address + $0.size } }

  /// The place of the first free block that is not before a size and an address.
  private func firstFree(size: Int, address: Int) -> Int {
    var (low, high) = (0, free.count)
    while low < high {
      let middle = (low + high) / 2
      if free[middle] < (size, address) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private mutating func insert(_ address: Int, size: Int) {
    free.insert((size, address), at: firstFree(size: size, address: address))
  }

  private mutating func remove(_ address: Int, size: Int) {
    free.remove(at: firstFree(size: size, address: address))
  }
}
