# cmake -DFILE=x.ptx -P lower_ptx.cmake: states the oldest PTX version that the code is good for, so that drivers from R525 take it.
file(READ ${FILE} text)
string(REGEX REPLACE "\n\\.version [0-9]+\\.[0-9]+\n" "\n.version 8.0\n" text "${text}")
file(WRITE ${FILE} "${text}")
