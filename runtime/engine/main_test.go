package engine_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

// process is a real guest process: this test binary, which TestMain turns into one.
type process struct {
	cmd    *exec.Cmd
	spec   *os.File
	report *os.File
	stdin  io.WriteCloser
	stdout io.ReadCloser
	stderr bytes.Buffer
}

func startProcess(t *testing.T) *process {
	t.Helper()
	specR, specW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reportR, reportW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe), spec: specW, report: reportR}
	p.cmd.Env = append(os.Environ(), "DUNLIN_TEST_GUEST=1")
	p.cmd.ExtraFiles = []*os.File{specR, reportW}
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if p.stdout, err = p.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	specR.Close()
	reportW.Close()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		specW.Close()
		reportR.Close()
	})
	return p
}

func (p *process) tell(t *testing.T, s engine.Spec) {
	t.Helper()
	if err := json.NewEncoder(p.spec).Encode(s); err != nil {
		t.Fatal(err)
	}
}

func (p *process) end(t *testing.T) (engine.Report, int) {
	t.Helper()
	line, err := io.ReadAll(p.report)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	var rep engine.Report
	if len(line) > 0 {
		if err := json.Unmarshal(line, &rep); err != nil {
			t.Fatalf("report %q: %v", line, err)
		}
	}
	return rep, p.cmd.ProcessState.ExitCode()
}

func TestProcessRunsAndReports(t *testing.T) {
	for _, c := range []struct {
		wasm []byte
		exit int
		want engine.Report
	}{
		{guests.TinyHello(9), 9, engine.Report{ExitCode: 9}},
		{guests.TinyHello(512), 255, engine.Report{ExitCode: 512}},
		{guests.TinyTrap(), 134, engine.Report{ExitCode: 134, Trap: "unreachable"}},
		{[]byte("text"), 127, engine.Report{ExitCode: 127, Error: "not Wasm"}},
	} {
		p := startProcess(t)
		p.tell(t, spec(t, guests.Write(t, c.wasm)))
		rep, exit := p.end(t)
		if exit != c.exit || rep.ExitCode != c.want.ExitCode || !strings.Contains(rep.Trap, c.want.Trap) || !strings.Contains(rep.Error, c.want.Error) {
			t.Errorf("exit %d, report %+v; want %d, %+v", exit, rep, c.exit, c.want)
		}
	}
}

func TestSpareThatIsNotNeeded(t *testing.T) {
	p := startProcess(t)
	p.spec.Close()
	if rep, exit := p.end(t); exit != 0 || rep != (engine.Report{}) {
		t.Errorf("exit %d, report %+v", exit, rep)
	}
}

func TestProcessRefusesBadSpec(t *testing.T) {
	p := startProcess(t)
	if _, err := io.WriteString(p.spec, `{"Module":"relative"}`); err != nil {
		t.Fatal(err)
	}
	if rep, exit := p.end(t); exit != 127 || !strings.Contains(rep.Error, "not absolute") {
		t.Errorf("exit %d, report %+v", exit, rep)
	}
}

// A guest in a tight loop, one asleep and one that waits for input are all stopped from outside; the last also by the end
// of its input.
func TestStopping(t *testing.T) {
	for name, wasm := range map[string][]byte{"spin": guests.TinySpin(), "sleep": guests.TinySleep()} {
		p := startProcess(t)
		p.tell(t, spec(t, guests.Write(t, wasm)))
		if line, err := bufio.NewReader(p.stdout).ReadString('\n'); line != "up\n" {
			t.Fatalf("%s: %q, %v", name, line, err)
		}
		p.stdin.Close() // no effect on guests that do not read it
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if rep, exit := p.end(t); exit != -1 || rep != (engine.Report{}) {
			t.Errorf("%s: exit %d, report %+v", name, exit, rep)
		}
	}
	p := startProcess(t)
	p.tell(t, spec(t, guests.Write(t, guests.TinyCat())))
	if _, err := io.WriteString(p.stdin, "ping\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(p.stdout).ReadString('\n'); line != "ping\n" {
		t.Fatalf("cat: %q, %v", line, err)
	}
	p.stdin.Close()
	if rep, exit := p.end(t); exit != 0 || rep.Error != "" {
		t.Errorf("cat: exit %d, %+v", exit, rep)
	}
}

// When nobody reads its output any more, the guest gets an error and goes on; the process does not die of SIGPIPE.
func TestBrokenPipeIsTheGuestsAffair(t *testing.T) {
	p := startProcess(t)
	p.stdout.Close()
	p.tell(t, spec(t, guests.Write(t, guests.TinyHello(5))))
	if rep, exit := p.end(t); exit != 5 || rep.ExitCode != 5 {
		t.Errorf("exit %d, report %+v, %s", exit, rep, p.stderr.String())
	}
}
