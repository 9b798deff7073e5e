package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// figure is one number of a line. A target of 0 means that none is set.
type figure struct {
	Name       string
	Value      float64
	Unit       string
	Target     float64
	AtLeast    bool   // the target is a floor; else a ceiling
	Conditions string `json:",omitempty"`
}

// met is "yes" or "no", or "-" without a target.
func (f figure) met() string {
	switch {
	case f.Target == 0:
		return "-"
	case f.AtLeast && f.Value >= f.Target, !f.AtLeast && f.Value <= f.Target:
		return "yes"
	}
	return "no"
}

func (f figure) target() string {
	switch {
	case f.Target == 0:
		return "-"
	case f.AtLeast:
		return "≥ " + number(f.Target) + " " + f.Unit
	}
	return "≤ " + number(f.Target) + " " + f.Unit
}

// number keeps three digits that matter.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return thousands(int64(math.Round(v)))
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// report is what a line found.
type report struct {
	Figures    []figure
	Conditions []string // of the whole line: process, repeats, peak memory
}

func (r *report) add(f figure) { r.Figures = append(r.Figures, f) }

func (r *report) condition(format string, args ...any) {
	r.Conditions = append(r.Conditions, fmt.Sprintf(format, args...))
}

// machine is what figures depend on and no line changes.
type machine struct {
	System    string
	Cores     int
	FsyncOn   bool    // the product has no switch to turn it off
	FsyncMS   float64 // median of 4 KiB appended and synced, where the lines keep their data
	Folder    string
	StartedAt time.Time
}

const fsyncRepeats = 25

func describeMachine() (m machine, err error) {
	dir, err := os.MkdirTemp("", "db-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(dir)
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return m, err
	}
	defer f.Close()
	var took []float64
	for range fsyncRepeats {
		begin := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return m, err
		}
		if err := f.Sync(); err != nil {
			return m, err
		}
		took = append(took, millis(time.Since(begin)))
	}
	return machine{
		System: runtime.GOOS + "/" + runtime.GOARCH + " " + runtime.Version(), Cores: runtime.NumCPU(),
		FsyncOn: true, FsyncMS: median(took), Folder: filepath.Dir(dir), StartedAt: time.Now(),
	}, nil
}

// printer shows results as they come.
type printer interface {
	begin(machine)
	line(l line, r *report, took time.Duration, err error)
	end() error
}

// table is the form for people.
type table struct{ w io.Writer }

const tableRow = "%-44s %16s  %-18s %-4s  %s\n"

func (t *table) begin(m machine) {
	fmt.Fprintf(t.w, "%s, %d cores shared by all parts; fsync on: 4 KiB in %s ms (median) in %s; MB = 10^6 bytes\n\n",
		m.System, m.Cores, number(m.FsyncMS), m.Folder)
	fmt.Fprintf(t.w, tableRow, "name", "figure", "target", "met?", "conditions")
}

func (t *table) line(l line, r *report, took time.Duration, err error) {
	if err != nil {
		fmt.Fprintf(t.w, "%-44s not measured: %v\n", l.name, err)
		return
	}
	for _, f := range r.Figures {
		fmt.Fprintf(t.w, tableRow, l.name+": "+f.Name, number(f.Value)+" "+f.Unit, f.target(), f.met(), f.Conditions)
	}
	fmt.Fprintf(t.w, "    %s; %.0f s in all\n", strings.Join(r.Conditions, "; "), took.Seconds())
}

func (t *table) end() error { return nil }

// document is the form for machines.
type document struct {
	w   io.Writer
	doc struct {
		Machine machine
		Lines   []documentLine
	}
}

type documentLine struct {
	Name, About string
	Seconds     float64
	Error       string           `json:",omitempty"`
	Figures     []documentFigure `json:",omitempty"`
	Conditions  []string         `json:",omitempty"`
}

type documentFigure struct {
	figure
	Met string
}

func (d *document) begin(m machine) { d.doc.Machine = m }

func (d *document) line(l line, r *report, took time.Duration, err error) {
	out := documentLine{Name: l.name, About: l.about, Seconds: took.Seconds()}
	if err != nil {
		out.Error = err.Error()
	} else {
		out.Conditions = r.Conditions
		for _, f := range r.Figures {
			out.Figures = append(out.Figures, documentFigure{f, f.met()})
		}
	}
	d.doc.Lines = append(d.doc.Lines, out)
}

func (d *document) end() error {
	e := json.NewEncoder(d.w)
	e.SetIndent("", "  ")
	return e.Encode(d.doc)
}
