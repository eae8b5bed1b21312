# cmake -DFILE=x.ptx -P lower_ptx.cmake: states the oldest PTX version that the code is good for, so that drivers from R525 take it. The
# hint used_bytes_mask, which changes no result, is younger and goes; its line stays, so that the others keep their numbers. With
# -DCOMMENTS=OFF comments and the blanks before a line's text go, too.
file(READ ${FILE} text)
string(REGEX REPLACE "\n\\.version [0-9]+\\.[0-9]+\n" "\n.version 8.0\n" text "${text}")
string(REGEX REPLACE "[ \t]*\\.pragma \"used_bytes_mask[^\"]*\";" "" text "${text}")
if(DEFINED COMMENTS AND NOT COMMENTS)
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  string(REGEX REPLACE "\n[ \t\n]+" "\n" text "${text}")
endif()
file(WRITE ${FILE} "${text}")
