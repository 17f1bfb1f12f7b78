// What the search kernels read, as Swift fills it in.
#ifndef GLEN_SEARCH_H
#define GLEN_SEARCH_H

typedef struct glen_search {
  // [steps, stride] codes of `code_width` bytes each, 2 or 4.
  const void *columns;
  // [steps + 1]: where each step's values begin, and their number.
  const int *offsets;
  // A bit for each row that may be found, or null for all.
  const unsigned *allowed;
  // [tiles of queries, codes, lanes]: the queries' values.
  const float *tables;
  long rows, stride, steps, code_width;
  // The values of a query; the queries of a tile.
  long codes, lanes;
  long queries;
  // Group g has the rows g, g + groups, g + 2 groups ...
  long groups;
  // Of how many groups a query's rows are kept, and how many rows of each.
  long slots, depth;
} glen_search;

#endif
