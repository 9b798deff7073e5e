package compat

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
)

// waitMax bounds each wait for the region; a slow machine needs a few seconds.
const waitMax = 90 * time.Second

// TestOfficialClient takes a job through its life with the official client:
// plan, register, wait, list, read the logs, stop.
func TestOfficialClient(t *testing.T) {
	agent := start(t)
	c, err := nomad.NewClient(&nomad.Config{Address: agent.address})
	if err != nil {
		t.Fatal(err)
	}
	node := awaitNode(t, c)
	job := helloJob(agent.push(t))

	checked, _, err := c.Jobs().Validate(job, nil)
	if err != nil || checked.Error != "" {
		t.Fatalf("validate: %+v, %v", checked, err)
	}
	plan, _, err := c.Jobs().Plan(job, true, nil)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	if plan.Annotations.DesiredTGUpdates["hello"].Place != 1 || plan.Diff.Type != "Added" || len(plan.FailedTGAllocs) != 0 {
		t.Errorf("plan: %+v, diff %s, failed %v", plan.Annotations.DesiredTGUpdates["hello"], plan.Diff.Type, plan.FailedTGAllocs)
	}

	reg, _, err := c.Jobs().EnforceRegister(job, 0, nil)
	if err != nil || reg.EvalID == "" {
		t.Fatalf("register: %+v, %v", reg, err)
	}
	alloc := awaitAlloc(t, c, "hello", func(a *nomad.AllocationListStub) bool { return a.ClientStatus == nomad.AllocClientStatusRunning })
	if alloc.NodeID != node.ID || alloc.Name != "hello.hello[0]" || alloc.TaskStates["main"].State != "running" {
		t.Errorf("allocation %+v", alloc)
	}
	if eval, _, err := c.Evaluations().Info(reg.EvalID, nil); err != nil || eval.Status != "complete" {
		t.Errorf("evaluation %+v, %v", eval, err)
	}
	readLogs(t, c, alloc.ID)
	readFiles(t, c, alloc.ID)
	inspect(t, c)

	if _, _, err := c.Jobs().Deregister("hello", false, nil); err != nil {
		t.Fatalf("deregister: %v", err)
	}
	stopped := awaitAlloc(t, c, "hello", func(a *nomad.AllocationListStub) bool { return a.ClientStatus == nomad.AllocClientStatusComplete })
	if stopped.ID != alloc.ID || stopped.DesiredStatus != nomad.AllocDesiredStatusStop {
		t.Errorf("after the stop: %+v", stopped)
	}
}

// TestRefusalsReachTheClient: what is wrong with a job arrives as status 400 with
// the field, and registers nothing.
func TestRefusalsReachTheClient(t *testing.T) {
	agent := start(t)
	c, err := nomad.NewClient(&nomad.Config{Address: agent.address})
	if err != nil {
		t.Fatal(err)
	}
	job := helloJob("./hello.wasm")
	job.Periodic = &nomad.PeriodicConfig{Spec: ptr("* * * * *")}
	_, _, err = c.Jobs().Register(job, nil)
	var answer nomad.UnexpectedResponseError
	if !errors.As(err, &answer) || answer.StatusCode() != 400 {
		t.Fatalf("register: %v, want status 400", err)
	}
	for _, word := range []string{"Periodic", "./hello.wasm", "TaskGroups[0].Tasks[0].Config"} {
		if !strings.Contains(answer.Body(), word) {
			t.Errorf("%q does not name %q", answer.Body(), word)
		}
	}
	if jobs, _, err := c.Jobs().List(nil); err != nil || len(jobs) != 0 {
		t.Errorf("jobs %v, %v", jobs, err)
	}
}

func ptr[T any](v T) *T { return &v }

func helloJob(module string) *nomad.Job {
	task := nomad.NewTask("main", "wasm").SetConfig("module", module).SetConfig("args", []string{"-every", "200ms"})
	task.Require(&nomad.Resources{CPU: ptr(50), MemoryMB: ptr(64)})
	task.Env = map[string]string{"GREETING": "hello"}
	group := nomad.NewTaskGroup("hello", 1).AddTask(task)
	return nomad.NewServiceJob("hello", "hello", "global", 50).AddTaskGroup(group).AddDatacenter("*")
}

// awaitNode waits, by blocking queries, until the device is ready.
func awaitNode(t *testing.T, c *nomad.Client) *nomad.NodeListStub {
	t.Helper()
	for q, end := (&nomad.QueryOptions{WaitTime: 5 * time.Second}), time.Now().Add(waitMax); time.Now().Before(end); {
		nodes, meta, err := c.Nodes().List(q)
		if err != nil {
			t.Fatalf("nodes: %v", err)
		}
		if len(nodes) == 1 && nodes[0].Status == nomad.NodeStatusReady {
			return nodes[0]
		}
		q.WaitIndex = meta.LastIndex
	}
	t.Fatal("no device got ready")
	return nil
}

// awaitAlloc waits, by blocking queries, until the job's one allocation is as
// wanted.
func awaitAlloc(t *testing.T, c *nomad.Client, job string, wanted func(*nomad.AllocationListStub) bool) *nomad.AllocationListStub {
	t.Helper()
	var last []*nomad.AllocationListStub
	for q, end := (&nomad.QueryOptions{WaitTime: 5 * time.Second}), time.Now().Add(waitMax); time.Now().Before(end); {
		allocs, meta, err := c.Jobs().Allocations(job, true, q)
		if err != nil {
			t.Fatalf("allocations of %s: %v", job, err)
		}
		if len(allocs) == 1 && wanted(allocs[0]) {
			return allocs[0]
		}
		last, q.WaitIndex = allocs, meta.LastIndex
	}
	for _, a := range last {
		t.Logf("%s %s: %s", a.Name, a.ClientStatus, a.ClientDescription)
	}
	t.Fatalf("the allocation of %s did not get there", job)
	return nil
}

// readLogs follows the task's output until it has greeted twice.
func readLogs(t *testing.T, c *nomad.Client, id string) {
	t.Helper()
	alloc, _, err := c.Allocations().Info(id, nil)
	if err != nil {
		t.Fatalf("allocation: %v", err)
	}
	cancel := make(chan struct{})
	defer close(cancel)
	frames, errs := c.AllocFS().Logs(alloc, true, "main", "stdout", "start", 0, cancel, nil)
	var text strings.Builder
	for late := time.After(waitMax); strings.Count(text.String(), "\n") < 2; {
		select {
		case f, ok := <-frames:
			if !ok {
				t.Fatalf("the log ended after %q", text.String())
			}
			text.Write(f.Data)
		case err := <-errs:
			t.Fatalf("log: %v", err)
		case <-late:
			t.Fatalf("the log is silent after %q", text.String())
		}
	}
	if want := "hello from hello.hello[0], 1\n"; !strings.HasPrefix(text.String(), want) {
		t.Errorf("the log begins %q, want %q", text.String(), want)
	}
}

// readFiles looks at the allocation's folder as the client's own fs command does.
func readFiles(t *testing.T, c *nomad.Client, id string) {
	t.Helper()
	alloc, _, err := c.Allocations().Info(id, nil)
	if err != nil {
		t.Fatalf("allocation: %v", err)
	}
	fs, log := c.AllocFS(), "alloc/logs/main.stdout.0"
	if files, _, err := fs.List(alloc, "/", nil); err != nil || len(files) != 2 || files[0].Name != "alloc" || !files[0].IsDir || files[1].Name != "main" {
		t.Errorf("list: %+v, %v", files, err)
	}
	if info, _, err := fs.Stat(alloc, log, nil); err != nil || info.Name != "main.stdout.0" || info.IsDir || info.Size == 0 || info.ContentType != "text/plain; charset=utf-8" {
		t.Errorf("stat: %+v, %v", info, err)
	}
	r, err := fs.ReadAt(alloc, log, 6, 4, nil)
	if err != nil {
		t.Fatalf("readat: %v", err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "from" {
		t.Errorf("readat: %q, %v", b, err)
	}
	_ = r.Close()
	if r, err = fs.Cat(alloc, log, nil); err != nil {
		t.Fatalf("cat: %v", err)
	}
	if b, err := io.ReadAll(r); err != nil || !strings.HasPrefix(string(b), "hello from hello.hello[0], 1\n") {
		t.Errorf("cat: %q, %v", b, err)
	}
	_ = r.Close()
	if _, err := fs.Cat(alloc, "../../state", nil); err == nil || !strings.Contains(err.Error(), "out of the allocation's folder") {
		t.Errorf("a path out of the folder: %v", err)
	}
	cancel := make(chan struct{})
	defer close(cancel)
	frames, errs := fs.Stream(alloc, log, "start", 0, cancel, nil)
	select {
	case f := <-frames:
		if !strings.HasPrefix(string(f.Data), "hello from") || f.File != log || f.Offset != int64(len(f.Data)) {
			t.Errorf("stream: %+v", f)
		}
	case err := <-errs:
		t.Errorf("stream: %v", err)
	case <-time.After(waitMax):
		t.Error("the stream is silent")
	}
}

// inspect reads what else clients read.
func inspect(t *testing.T, c *nomad.Client) {
	t.Helper()
	job, _, err := c.Jobs().Info("hello", nil)
	if err != nil || *job.Status != "running" || *job.TaskGroups[0].Tasks[0].Resources.MemoryMB != 64 {
		t.Errorf("job %+v, %v", job, err)
	}
	if versions, _, _, err := c.Jobs().Versions("hello", true, nil); err != nil || len(versions) != 1 {
		t.Errorf("versions %v, %v", versions, err)
	}
	if s, _, err := c.Jobs().Summary("hello", nil); err != nil || s.Summary["hello"].Running != 1 {
		t.Errorf("summary %+v, %v", s, err)
	}
	if leader, err := c.Status().Leader(); err != nil || leader == "" {
		t.Errorf("leader %q, %v", leader, err)
	}
	if regions, err := c.Regions().List(); err != nil || len(regions) != 1 || regions[0] != "global" {
		t.Errorf("regions %v, %v", regions, err)
	}
	if self, err := c.Agent().Self(); err != nil || self.Member.Name == "" {
		t.Errorf("self %+v, %v", self, err)
	}
	if health, err := c.Agent().Health(); err != nil || !health.Server.Ok {
		t.Errorf("health %+v, %v", health, err)
	}
	if d, _, err := c.Jobs().LatestDeployment("hello", nil); err != nil || d != nil {
		t.Errorf("deployment %+v, %v", d, err)
	}
}
