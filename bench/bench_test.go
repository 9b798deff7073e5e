package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, c := range []struct {
		values  []float64
		q, want float64
	}{
		{[]float64{3}, 0.99, 3}, {[]float64{3, 1, 2}, 0.5, 2}, {[]float64{4, 1}, 0.5, 1},
		{hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile of %d values, %v: got %v, want %v", len(c.values), c.q, got, c.want)
		}
	}
}

func TestFigureWords(t *testing.T) {
	for _, c := range []struct {
		f            figure
		target, mets string
	}{
		{figure{Value: 15, Unit: "ms", Target: 15}, "≤ 15 ms", "yes"},
		{figure{Value: 15.1, Unit: "ms", Target: 15}, "≤ 15 ms", "no"},
		{figure{Value: 39_999, Unit: "/s", Target: 40_000, AtLeast: true}, "≥ 40,000 /s", "no"},
		{figure{Value: 0.02, Unit: "s", Target: 0.03}, "≤ 0.030 s", "yes"},
		{figure{Value: 7}, "-", "-"},
	} {
		if c.f.target() != c.target || c.f.met() != c.mets {
			t.Errorf("%+v: got %q %q, want %q %q", c.f, c.f.target(), c.f.met(), c.target, c.mets)
		}
	}
	for v, want := range map[float64]string{0.5: "0.500", 1.234: "1.23", 12.34: "12.3", 1234567: "1,234,567", -999: "-999", 250: "250"} {
		if got := number(v); got != want {
			t.Errorf("number(%v): got %s, want %s", v, got, want)
		}
	}
}

// TestForms: both forms carry each figure, and neither hides an error.
func TestForms(t *testing.T) {
	r := &report{}
	r.add(figure{Name: "p50", Value: 12, Unit: "ms", Target: 15})
	r.condition("7 repeats")
	var text, doc bytes.Buffer
	for _, p := range []printer{&table{w: &text}, &document{w: &doc}} {
		p.begin(machine{Cores: 2, FsyncOn: true})
		p.line(line{name: "a"}, r, time.Second, nil)
		p.line(line{name: "b"}, nil, time.Second, errors.New("no such thing"))
		if err := p.end(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a: p50", "12 ms", "≤ 15 ms", "yes", "7 repeats", "b", "not measured: no such thing", "fsync on"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, text.String())
		}
	}
	var back struct {
		Machine machine
		Lines   []documentLine
	}
	if err := json.Unmarshal(doc.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Lines) != 2 || back.Lines[0].Figures[0].Met != "yes" || back.Lines[1].Error == "" || !back.Machine.FsyncOn {
		t.Errorf("the document: %s", doc.String())
	}
}

// TestLines: names are what -run is given, so they are unique, and each line is bounded.
func TestLines(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range lines {
		if seen[l.name] || l.limit <= 0 || l.about == "" || l.run == nil {
			t.Errorf("line %q is incomplete or named twice", l.name)
		}
		seen[l.name] = true
	}
}
