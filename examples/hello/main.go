// Command hello greets once a second, and says which allocation it runs in. With -n N it stops after N greetings.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	times := flag.Int("n", 0, "greet this many times, then exit; 0 means for ever")
	every := flag.Duration("every", time.Second, "time between two greetings")
	flag.Parse()
	who := os.Getenv("NOMAD_ALLOC_NAME")
	if who == "" {
		who, _ = os.Hostname()
	}
	for i := 1; ; i++ {
		fmt.Printf("hello from %s, %d\n", who, i)
		if i == *times {
			return
		}
		time.Sleep(*every)
	}
}
