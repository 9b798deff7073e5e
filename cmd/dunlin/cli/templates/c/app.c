// Build: clang --target=wasm32-wasip1 -O2 -o app.wasm app.c
// (Debian: apt-get install clang lld wasi-libc libclang-rt-dev-wasm32)
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
	const char *name = getenv("NOMAD_ALLOC_NAME");
	for (int n = 1;; n++) {
		printf("hello number %d from %s\n", n, name ? name : "nowhere");
		fflush(stdout);
		sleep(1);
	}
}
