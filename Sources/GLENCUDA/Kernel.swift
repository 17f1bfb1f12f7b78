import GLENTensor

/// The kernels by the names that `CGLENCUDA/Kernels` gives them.
enum Kernel: String, CaseIterable {
  case addScaled = "glen_add_scaled"
  case scale = "glen_scale"
  case round = "glen_round"
  case unround = "glen_unround"
  case relu = "glen_relu"
  case reluBackward = "glen_relu_backward"
  case gatedGELU = "glen_gated_gelu"
  case gatedGELUBackward = "glen_gated_gelu_backward"
  case dropout = "glen_dropout"
  case adamW = "glen_adamw"
  case copyRows = "glen_copy_rows"
  case stack = "glen_stack_steps_of"
  case unstack = "glen_unstack_steps_of"
  case rescaleRows = "glen_rescale_rows"
  case addMask = "glen_add_mask"
  case rowScale = "glen_row_scale"
  case rowDot = "glen_row_dot"
  case rmsNorm = "glen_rms_norm"
  case rmsNorm256 = "glen_rms_norm_256"
  case rmsNorm512 = "glen_rms_norm_512"
  case rmsNorm768 = "glen_rms_norm_768"
  case rmsNorm1024 = "glen_rms_norm_1024"
  case rmsNormBackward = "glen_rms_norm_backward"
  case rmsNormWeightParts = "glen_rms_norm_weight_parts"
  case rmsNormGradients256 = "glen_rms_norm_gradients_256"
  case rmsNormGradients512 = "glen_rms_norm_gradients_512"
  case rmsNormGradients768 = "glen_rms_norm_gradients_768"
  case rmsNormGradients1024 = "glen_rms_norm_gradients_1024"
  case addParts = "glen_add_parts"
  case cosineDistance = "glen_cosine_distance"
  case cosineDistanceBackward = "glen_cosine_distance_backward"
  case softmax = "glen_softmax"
  case softmaxBackward = "glen_softmax_backward"
  case crossEntropy = "glen_cross_entropy"
  case argMax = "glen_arg_max"
  case gather = "glen_gather"
  case scatterAdd = "glen_scatter_add"
  case sumParts = "glen_sum_parts"
  case sumOfParts = "glen_sum_of_parts"
  case squaresParts = "glen_squares_parts"
  case squaresOfParts = "glen_squares_of_parts"
  case searchTiles = "glen_search_tiles"
  case searchMaximaOne = "glen_search_maxima_one"
  case searchMaximaMany = "glen_search_maxima_many"
  case searchGroups = "glen_search_groups"
  case searchCollect = "glen_search_collect"
  case attentionDelta = "glen_attention_delta"
  case attentionDistances = "glen_attention_distances"
  case attentionBias = "glen_attention_dbias"
  case attentionOne = "glen_attention_one"
  case attentionOneWide = "glen_attention_one_wide"
  case attentionOneBackward = "glen_attention_one_backward"
  case attentionOneBackwardWide = "glen_attention_one_backward_wide"
  case attentionMemory = "glen_attention_memory"
  case outputRounded = "glen_attention_output_bf16"
  case queriesRounded = "glen_attention_dqueries_bf16"
  case keysRounded = "glen_attention_dkeys_bf16"
  case outputMany = "glen_attention_output_many"
  case outputFew = "glen_attention_output_few"
  case outputWide = "glen_attention_output_wide"
  case queriesMany = "glen_attention_dqueries_many"
  case queriesFew = "glen_attention_dqueries_few"
  case queriesWide = "glen_attention_dqueries_wide"
  case keysMany = "glen_attention_dkeys_many"
  case keysFew = "glen_attention_dkeys_few"
  case keysWide = "glen_attention_dkeys_wide"
  case valuesMany = "glen_attention_dvalues_many"
  case valuesFew = "glen_attention_dvalues_few"
  case valuesWide = "glen_attention_dvalues_wide"

  /// Threads of a block, `GLEN_THREADS`.
  static let threads = 256
}

/// What a kernel is called with, as the eight bytes from which a launch takes as many as it needs.
enum KernelArgument {
  /// What the kernel may write.
  case at(Region?)
  /// What it only reads.
  case input(Region?)
  /// What it reads or writes as the caller has seen to.
  case settled(Region?)
  /// Where so many elements are as bfloat16 alone; null where they are as float32, for the argument
  /// before.
  case halves(Region, count: Int)
  /// So many elements that it overwrites, and may have read before as `halves`.
  case replacing(Region, count: Int)
  case address(UnsafeMutableRawPointer?)
  case count(Int)
  case word(UInt64)
  case number(Float)
  case flag(Bool)

  var bits: UInt64 {
    switch self {
    case .at(let region), .input(let region), .settled(let region):
      UInt64(UInt(bitPattern: region?.address))
    case .replacing(let region, _): UInt64(UInt(bitPattern: region.address))
    case .halves: 0
    case .address(let address): UInt64(UInt(bitPattern: address))
    case .count(let count): UInt64(bitPattern: Int64(count))
    case .word(let word): word
    case .number(let number): UInt64(number.bitPattern)
    case .flag(let flag): flag ? 1 : 0
    }
  }
}

extension Region {
  /// Where the region begins on the device.
  var address: UnsafeMutableRawPointer { storage.address + 4 * offset }
}
