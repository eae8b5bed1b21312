// Included before everything else by both build files. Binds the few libc functions whose newest version is younger
// than Node 20's own floor (glibc 2.28) to the version they have always had, so that an addon built on a new system
// loads on an old one. The old versions of exp and log differ from the new ones only in how they report errors; the
// rest are the same functions, which glibc 2.34 moved from libpthread and libdl into libc. What the C++ library asks
// for beyond GLIBCXX 3.4.25 is in symbol_floor.cc.
#pragma once

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
__asm__(".symver exp,exp@GLIBC_2.2.5");
__asm__(".symver log,log@GLIBC_2.2.5");
__asm__(".symver pow,pow@GLIBC_2.2.5");
__asm__(".symver dlopen,dlopen@GLIBC_2.2.5");
__asm__(".symver dlsym,dlsym@GLIBC_2.2.5");
__asm__(".symver dlerror,dlerror@GLIBC_2.2.5");
__asm__(".symver dlclose,dlclose@GLIBC_2.2.5");
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.2.5");
#endif
