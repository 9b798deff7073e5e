// Package program is the task that the conformance suite runs: one program, built natively and as a Wasm guest, that does
// what its one argument says.
package program

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Spec says what the program does, in the order of the fields.
type Spec struct {
	Stdout      string `json:",omitempty"` // printed first
	Stderr      string `json:",omitempty"`
	FloodLines  int64  `json:",omitempty"` // then numbered lines on standard output
	Children    int    `json:",omitempty"` // native: starts so many children in its session, and as many out of it
	EchoSignal  bool   `json:",omitempty"` // native: prints "got SIGUSR1" for each of them
	OnStop      Stop   `json:",omitempty"`
	SleepMillis int64  `json:",omitempty"` // after printing "ready", sleeps so long
	Burn        bool   `json:",omitempty"` // then is busy until it is stopped, or for burnMax
	Linger      bool   `json:",omitempty"` // then stays until it is stopped
	ExitCode    int    `json:",omitempty"`
}

// Stop is what the program does when it is asked to stop: by SIGTERM natively, by the end of standard input as a guest.
type Stop string

// What it does.
const (
	StopDefault Stop = ""       // what a program does that knows nothing of stops
	StopExit    Stop = "exit"   // prints "bye" and ends with StopCode
	StopIgnore  Stop = "ignore" // nothing
)

// StopCode is the exit code of StopExit.
const StopCode = 7

// burnMax is longer than a test waits for anything. A test that was killed leaves its program behind, and that must not burn on.
const burnMax = 2 * time.Minute

// Encode is the argument that makes the program do s.
func (s Spec) Encode() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a struct of plain values always encodes
	}
	return string(text)
}

// Main is the program; it returns its exit code.
func Main(arg string) int {
	var s Spec
	if err := json.Unmarshal([]byte(arg), &s); err != nil {
		fmt.Fprintln(os.Stderr, "program:", err)
		return 99
	}
	fmt.Print(s.Stdout)
	fmt.Fprint(os.Stderr, s.Stderr)
	flood(s.FloodLines)
	if err := startChildren(s.Children); err != nil {
		fmt.Fprintln(os.Stderr, "program:", err)
		return 98
	}
	listen(s)
	fmt.Println("ready")
	time.Sleep(time.Duration(s.SleepMillis) * time.Millisecond)
	for end := time.Now().Add(burnMax); s.Burn && time.Now().Before(end); {
	}
	if s.Linger {
		linger(s)
	}
	return s.ExitCode
}

func flood(lines int64) {
	w := bufio.NewWriterSize(os.Stdout, 64<<10)
	for i := range lines {
		fmt.Fprintf(w, "line %d\n", i)
	}
	if err := w.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "program:", err)
	}
}

func bye() {
	fmt.Println("bye")
	os.Exit(StopCode)
}
