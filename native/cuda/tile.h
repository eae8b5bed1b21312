// The two dims that a transposed copy goes through by tiles. Read by g++ and nvcc.
#pragma once

#include <cstdint>

namespace warploom::cuda {

constexpr int kTile = 32;     // elements of a tile's side
constexpr int kTileRows = 8;  // rows of threads: each thread moves kTile / kTileRows elements

// x is dense along the rows, y along the columns.
struct Tile {
  int64_t rows, columns;
  int64_t xRow, xColumn, yRow, yColumn;  // strides
};

}  // namespace warploom::cuda
