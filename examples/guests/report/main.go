// Command report prints what the guest sees of the world, one KEY=VALUE a line: arguments, environment, clocks, randomness,
// time zone data and certificate authorities.
package main

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

func main() {
	fmt.Printf("args=%q\n", os.Args)
	for _, kv := range os.Environ() {
		fmt.Println("env." + kv)
	}
	start := time.Now()
	time.Sleep(20 * time.Millisecond)
	fmt.Printf("unix=%d\n", start.Unix())
	fmt.Printf("slept_ms=%d\n", time.Since(start).Milliseconds())
	random := make([]byte, 16)
	rand.Read(random)
	fmt.Printf("random=%x\n", random)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println("zone_error=" + err.Error())
	} else {
		fmt.Println("zone=" + time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC).In(zone).Format("15:04 MST"))
	}
	if pool, err := x509.SystemCertPool(); err != nil {
		fmt.Println("roots_error=" + err.Error())
	} else {
		fmt.Printf("roots_empty=%t\n", pool.Equal(x509.NewCertPool()))
	}
}
