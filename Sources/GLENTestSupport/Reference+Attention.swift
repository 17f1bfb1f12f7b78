import GLENTensor

/// The extents and options of an attention case.
struct AttentionSetting: Sendable {
  var queryLengths: [Int]
  var keyLengths: [Int]
  var heads = 2
  var headWidth = 4
  /// The number of buckets, and whether they tell before from after; nil for no bias.
  var bias: (buckets: Int, isBidirectional: Bool)?
  var maximumDistance = 20
  var isCausal = false
  var dropout: DropoutMask?

  var inner: Int { heads * headWidth }
  var totalQueries: Int { queryLengths.reduce(0, +) }
  var totalKeys: Int { keyLengths.reduce(0, +) }
  var longestQueries: Int { queryLengths.max() ?? 0 }
  var longestKeys: Int { keyLengths.max() ?? 0 }
  var reach: Int { max(longestQueries, longestKeys, 1) - 1 }

  var description: String {
    "\(queryLengths)x\(keyLengths) heads \(heads)x\(headWidth)"
      + (bias.map { $0.isBidirectional ? " bias both ways" : " bias one way" } ?? "")
      + (isCausal ? " causal" : "") + (dropout == nil ? "" : " dropout")
  }
}

extension Reference {
  /// What attention gives, and each softmax's logarithm of the denominator, `[heads, queries]`.
  static func attention(
    _ s: AttentionSetting, q: [Double], k: [Double], v: [Double], table: [Double]
  ) -> (output: [Double], logSums: [Double]) {
    var output = [Double](repeating: 0, count: s.totalQueries * s.inner)
    var logSums = [Double](repeating: 0, count: s.heads * s.totalQueries)
    var (firstQuery, firstKey) = (0, 0)
    for (queries, keys) in zip(s.queryLengths, s.keyLengths) {
      for head in 0..<s.heads {
        let columns = head * s.headWidth..<(head + 1) * s.headWidth
        for i in 0..<queries {
          let row = firstQuery + i
          let position = i + keys - queries
          let seen = s.isCausal ? position + 1 : keys
          let scores = (0..<seen).map { j in
            var score = columns.reduce(0.0) {
              $0 + q[row * s.inner + $1] * k[(firstKey + j) * s.inner + $1]
            }
            if let bias = s.bias {
              let bucket = bucket(
                distance: j - position, buckets: bias.buckets,
                isBidirectional: bias.isBidirectional, maximumDistance: s.maximumDistance)
              score += table[bucket * s.heads + head]
            }
            return score
          }
          logSums[head * s.totalQueries + row] = logSum(scores)
          for (j, probability) in softmax(scores).enumerated() {
            let factor = s.dropout.map {
              dropoutFactor(
                number(s, $0, head: head, row: row) + j, rate: $0.rate, key: $0.key)
            }
            for column in columns {
              output[row * s.inner + column] +=
                probability * (factor ?? 1) * v[(firstKey + j) * s.inner + column]
            }
          }
        }
      }
      firstQuery += queries
      firstKey += keys
    }
    return (output, logSums)
  }

  /// The random number of a row's first probability.
  private static func number(
    _ s: AttentionSetting, _ mask: DropoutMask, head: Int, row: Int
  ) -> Int {
    ((mask.firstRow + row) * s.heads + head) * AttentionArguments.randomNumbersPerRow
  }

  /// The gradients of attention by the chain rule, one score at a time.
  static func attentionGradients(
    _ s: AttentionSetting, q: [Double], k: [Double], v: [Double], table: [Double], dOut: [Double]
  ) -> (q: [Double], k: [Double], v: [Double], table: [Double]) {
    var dq = [Double](repeating: 0, count: q.count)
    var dk = [Double](repeating: 0, count: k.count)
    var dv = [Double](repeating: 0, count: v.count)
    var dTable = [Double](repeating: 0, count: table.count)
    var (firstQuery, firstKey) = (0, 0)
    for (queries, keys) in zip(s.queryLengths, s.keyLengths) {
      for head in 0..<s.heads {
        let columns = head * s.headWidth..<(head + 1) * s.headWidth
        for i in 0..<queries {
          let row = firstQuery + i
          let position = i + keys - queries
          let seen = s.isCausal ? position + 1 : keys
          var scores = [Double](repeating: 0, count: seen)
          var slots = [Int](repeating: 0, count: seen)
          var factors = [Double](repeating: 1, count: seen)
          var dp = [Double](repeating: 0, count: seen)
          for j in 0..<seen {
            for column in columns {
              scores[j] += q[row * s.inner + column] * k[(firstKey + j) * s.inner + column]
              dp[j] += dOut[row * s.inner + column] * v[(firstKey + j) * s.inner + column]
            }
            if let bias = s.bias {
              slots[j] = bucket(
                distance: j - position, buckets: bias.buckets,
                isBidirectional: bias.isBidirectional, maximumDistance: s.maximumDistance)
              slots[j] = slots[j] * s.heads + head
              scores[j] += table[slots[j]]
            }
            if let dropout = s.dropout {
              factors[j] = dropoutFactor(
                number(s, dropout, head: head, row: row) + j, rate: dropout.rate,
                key: dropout.key)
            }
            dp[j] *= factors[j]
          }
          let p = softmax(scores)
          let mean = dot(p, dp)
          for j in 0..<seen {
            let ds = p[j] * (dp[j] - mean)
            if s.bias != nil { dTable[slots[j]] += ds }
            for column in columns {
              let (here, there) = (row * s.inner + column, (firstKey + j) * s.inner + column)
              dq[here] += ds * k[there]
              dk[there] += ds * q[here]
              dv[there] += p[j] * factors[j] * dOut[here]
            }
          }
        }
      }
      firstQuery += queries
      firstKey += keys
    }
    return (dq, dk, dv, dTable)
  }
}
