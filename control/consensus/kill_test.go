package consensus

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
)

// killDirEnv makes the test binary a child that proposes until it is killed.
const killDirEnv = "DUNLIN_CONSENSUS_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDirEnv); dir != "" {
		proposeForever(dir, os.Getenv(killDirEnv+"_FIRST"))
	}
	os.Exit(m.Run())
}

// proposeForever writes a line for each proposal that was acknowledged. Now and
// then it takes a snapshot, so that kills also hit those.
func proposeForever(dir, firstText string) {
	first, err := strconv.Atoi(firstText)
	if err != nil {
		panic(err)
	}
	n, err := Open(Config{Dir: dir, Server: Server{ID: "s1", Addr: "s1"}, Store: state.New(), Logger: quiet()})
	if err != nil {
		panic(err)
	}
	for changed := n.LeaderChanges(); !n.IsLeader(); changed = n.LeaderChanges() {
		<-changed
	}
	const writers = 4
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := first + w; ; i += writers {
				if _, _, err := n.Propose(context.Background(), module(i)); err != nil {
					panic(err)
				}
				fmt.Println(i) // one write each, unbuffered
				if i%50 == 0 {
					if err := n.Snapshot(); err != nil {
						panic(err)
					}
				}
			}
		})
	}
	all.Wait()
}

// TestAcknowledgedSurvivesKill kills a proposing process with SIGKILL at random
// points; whatever it had acknowledged must be there when the log is opened.
func TestAcknowledgedSurvivesKill(t *testing.T) {
	const kills = 12
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	acked := map[string]bool{}
	for round := range kills {
		for _, line := range runAndKill(t, dir, round*100_000, 1+random.IntN(150), time.Duration(random.IntN(3000))*time.Microsecond) {
			acked[line] = true
		}
	}
	n, store := alone(t, dir)
	defer closeNode(t, n)
	have := map[string]bool{}
	for m := range store.View().Modules() {
		have[m.Digest] = true
	}
	for line := range acked {
		i, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		if !have[digest(i)] {
			t.Errorf("module %d was acknowledged and is lost", i)
		}
	}
	t.Logf("%d kills, %d acknowledged, %d in the state", kills, len(acked), len(have))
}

// runAndKill returns the acknowledgements of a child that was killed some time
// after it had written the given number of them.
func runAndKill(t *testing.T, dir string, first, acks int, more time.Duration) (lines []string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), killDirEnv+"="+dir, fmt.Sprintf("%s_FIRST=%d", killDirEnv, first))
	var words strings.Builder
	child.Stderr = &words
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil { // the pipe ends with the child; a line without its end was not written whole
			break
		}
		lines = append(lines, strings.TrimSpace(line))
		if len(lines) == acks {
			kill = time.AfterFunc(more, func() { _ = child.Process.Kill() }) // it may have died by itself; Wait tells
		}
	}
	if kill != nil {
		kill.Stop()
	}
	_ = child.Process.Kill() // it may be dead already
	if err := child.Wait(); err == nil || len(lines) < acks {
		t.Fatalf("the child ended by itself after %d lines: %v\n%s", len(lines), err, words.String())
	}
	return lines
}
