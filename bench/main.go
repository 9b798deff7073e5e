package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// line is one thing to measure; it may give several figures.
type line struct {
	name  string
	about string
	limit time.Duration // of the whole line, building included
	run   func(ctx context.Context, r *rig) (*report, error)
}

// lines in the order of the table.
var lines = []line{
	{"submit", "submit → placed → running, tiny Wasm task, through the HTTP API of a dev agent", 3 * time.Minute, submitToRunning},
	{"guest", "warm and cold start of Wasm guests, each in a process of its own", 3 * time.Minute, guestStarts},
	{"place-batch", "1,000 simulated nodes, 10 batch jobs × 1,000, until all are placed", 5 * time.Minute, placeBatch},
	{"place-running", "the same with devices that report running, until all reports are committed", 5 * time.Minute, placeRunning},
	{"place-service", "1,000 simulated nodes, 10 service jobs × 1,000, until all are placed", 5 * time.Minute, placeService},
	{"place-spread", "1,000 simulated nodes, one service job × 1,000 with one spread, until all are placed", 5 * time.Minute, placeSpread},
	{"place-10000", "10,000 simulated nodes: batch, service, one spread, one evaluation of 10,000, on a region that fills and on one with 100,000", 10 * time.Minute, crowd},
	{"workers", "two schedulers and one on 1,000 simulated nodes: what is refused because they met, and how many nodes they need", 5 * time.Minute, workers},
	{"lose", "500 of 5,000 simulated devices lost with 100,000 allocations on them all; a freed slot until a blocked allocation has it", 10 * time.Minute, lose},
	{"million-placed", "1,000 batch jobs × 1,000 on 5,000 simulated nodes, until all are placed", 10 * time.Minute, millionPlaced},
	{"million", "1,000 batch jobs × 1,000 on 5,000 simulated devices of `dunlin sim fleet`", 12 * time.Minute, million},
	{"state", "the state of a region with 1,000,000 allocations: bytes of each, views, a checkpoint", 10 * time.Minute, stateRows},
	{"footprint", "memory and CPU of idle agents, and of a device with one hello guest", 4 * time.Minute, footprint},
	{"flash", "bytes that an idle device writes to its disk", 3 * time.Minute, idleWrites},
	{"offline", "cold boot of a device without a server, until its Wasm task runs", 4 * time.Minute, coldBoot},
	{"size", "stripped binaries for the platforms of devices", 25 * time.Minute, sizes},
	{"patch", "a module with a statement more in two of its packages, as a delta of the last version, as a patch, and compressed", 10 * time.Minute, patchSizes},
	{"command", "version and validate, one process each", 2 * time.Minute, commandTimes},
	{"idle-bytes", "bytes on the link of one idle device, by packet counters", 6 * time.Minute, idleBytes},
	{"storm-1000", "1,000 devices on one server: first contact, idle, back after a restart", 15 * time.Minute, stormOf(1000)},
	{"storm-3000", "the same with 3,000", 15 * time.Minute, stormOf(3000)},
	{"storm-10000", "the same with 10,000", 15 * time.Minute, stormOf(stormTarget)},
	{"scheduler", "the pure scheduler alone, no log and no processes", 3 * time.Minute, pureScheduler},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	asJSON := flag.Bool("json", false, "one JSON document instead of the table")
	list := flag.Bool("list", false, "name the lines and end")
	only := flag.String("run", "", "run only the lines whose name matches this `regexp`")
	binary := flag.String("binary", "./dunlin", "the `program` to measure; make build makes it")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; lines are chosen with -run", flag.Arg(0))
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	var chosen []line
	for _, l := range lines {
		if match.MatchString(l.name) {
			chosen = append(chosen, l)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("-run %q matches no line; -list names them", *only)
	}
	if *list {
		for _, l := range chosen {
			fmt.Printf("%-14s %s\n", l.name, l.about)
		}
		return nil
	}
	program, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("no program to measure (%w); run: make build", err)
	}
	// An interrupt ends the line that runs, which ends its processes.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return measure(ctx, chosen, program, *asJSON)
}

// measure runs the lines; its error says how many could not be measured.
func measure(ctx context.Context, chosen []line, program string, asJSON bool) error {
	machine, err := describeMachine()
	if err != nil {
		return err
	}
	out := printer(&table{w: os.Stdout})
	if asJSON {
		out = &document{w: os.Stdout}
	}
	out.begin(machine)
	failed := 0
	for _, l := range chosen {
		if ctx.Err() != nil {
			break
		}
		if !asJSON {
			fmt.Fprintf(os.Stderr, "measuring %s: %s\n", l.name, l.about)
		}
		begin := time.Now()
		rep, err := measureLine(ctx, l, program)
		if err != nil {
			failed++
		}
		out.line(l, rep, time.Since(begin), err)
	}
	if err := out.end(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted")
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d lines could not be measured", failed, len(chosen))
	}
	return nil
}

func measureLine(ctx context.Context, l line, program string) (rep *report, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	r, err := newRig(program)
	if err != nil {
		return nil, err
	}
	defer func() {
		if end := r.close(); err == nil {
			err = end
		}
	}()
	return l.run(ctx, r)
}
