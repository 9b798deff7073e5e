package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/spf13/cobra"
)

func (e *env) run() *cobra.Command {
	var (
		f       jobFlags
		detach  bool
		watch   bool
		asJSON  bool
		check   int64
		timeout time.Duration
	)
	c := &cobra.Command{
		Use:   "run FILE",
		Short: "Push a job's modules, register it and see it placed",
		Long: `Parses the job file, pushes the Wasm modules that the region lacks, registers
the job, and waits until its allocations run. "-" reads the job from standard
input. Exit codes: 0 all run; 3 accepted, but some wait for room.`,
		Args: exactly("a job file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := e.load(args[0], &f)
			if err != nil {
				return err
			}
			e.warn(l.Warnings)
			c, err := e.client()
			if err != nil {
				return err
			}
			if asJSON {
				e.Out, e.Terminal = e.Err, false // progress must not mix with the JSON
			}
			ctx := cmd.Context()
			if err := e.push(ctx, c, l.Modules); err != nil {
				return err
			}
			req := &api.JobRegisterRequest{Job: l.Job}
			if check >= 0 {
				req.EnforceIndex, req.JobModifyIndex = true, uint64(check)
			}
			start := time.Now()
			resp, err := c.Register(ctx, req)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				e.Out = cmd.OutOrStdout()
				return e.printJSON(resp)
			}
			fmt.Fprintf(e.Out, "job %q registered, evaluation %s\n", l.Job.ID, fleet.ShortID(resp.EvalID))
			if detach {
				return nil
			}
			m := monitor{env: e, c: c, job: l.Job.ID, start: start, watch: watch, timeout: timeout}
			return m.follow(ctx, resp.EvalID)
		},
	}
	f.add(c)
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&detach, "detach", false, "return once the job is registered")
	c.Flags().BoolVar(&watch, "watch", false, "go on showing what happens to the job until interrupted")
	c.Flags().Int64Var(&check, "check-index", -1, "register only if the job's modify index is this; 0: it must not exist")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for the job to run")
	return c
}

// monitor follows a registered job until it runs, is through, or is stuck.
type monitor struct {
	*env
	c       *api.Client
	job     fleet.JobID
	start   time.Time
	watch   bool
	timeout time.Duration
	shown   map[fleet.AllocID]string
}

func (m *monitor) follow(ctx context.Context, eval fleet.EvalID) error {
	m.shown = map[fleet.AllocID]string{}
	if !m.watch {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.timeout)
		defer cancel()
	}
	ev, err := m.evaluated(ctx, eval)
	if err != nil {
		return m.ended(ctx, err)
	}
	blocked := m.explainEval(ev)
	if err := m.allocations(ctx, ev); err != nil {
		return m.ended(ctx, err)
	}
	if blocked {
		return &exitError{ExitBlocked, nil}
	}
	return nil
}

func (m *monitor) ended(ctx context.Context, err error) error {
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("not everything runs after %s; dunlin status %s shows why (the job stays registered)", m.timeout, m.job)
	}
	return err
}

// evaluated waits until the evaluation is decided.
func (m *monitor) evaluated(ctx context.Context, id fleet.EvalID) (*fleet.Evaluation, error) {
	q := &api.QueryOptions{}
	for {
		ev, meta, err := m.c.Evaluation(ctx, id, q)
		if err != nil {
			return nil, m.explain(m.c, err)
		}
		switch {
		case ev.Status == fleet.EvalCancelled && ev.NextEval != "":
			id, q = ev.NextEval, &api.QueryOptions{} // a newer one covers it
		case ev.Status != fleet.EvalPending:
			return ev, nil
		default:
			q.Index = meta.LastIndex
		}
	}
}

// explainEval says what was not placed and why; it reports whether anything was.
func (m *monitor) explainEval(ev *fleet.Evaluation) bool {
	if ev.Status == fleet.EvalFailed {
		fmt.Fprintf(m.Out, "evaluation failed: %s\n", ev.StatusDescription)
	}
	for _, group := range sortedKeys(ev.FailedTGAllocs) {
		fmt.Fprintf(m.Out, "group %q: %d not placed\n", group, ev.QueuedAllocations[group])
		printRefusals(m.Out, ev.FailedTGAllocs[group])
	}
	if len(ev.FailedTGAllocs) > 0 && ev.BlockedEval != "" {
		fmt.Fprintf(m.Out, "evaluation %s waits for room and places them as soon as there is some\n", fleet.ShortID(ev.BlockedEval))
	}
	return len(ev.FailedTGAllocs) > 0
}

// allocations follows what was placed until all of it runs or has ended.
func (m *monitor) allocations(ctx context.Context, ev *fleet.Evaluation) error {
	q := &api.QueryOptions{}
	for {
		stubs, meta, err := m.c.JobAllocations(ctx, m.job, q)
		if err != nil {
			return m.explain(m.c, err)
		}
		settled, failed := true, false
		for _, a := range stubs {
			if a.DesiredStatus != fleet.DesiredRun {
				continue
			}
			m.show(a)
			settled = settled && a.ClientStatus != fleet.ClientPending
			failed = failed || a.ClientStatus == fleet.ClientFailed && a.EvalID == ev.ID
		}
		if settled && !m.watch {
			if failed {
				return &exitError{ExitFailed, nil}
			}
			return nil
		}
		q.Index = meta.LastIndex
	}
}

func (m *monitor) show(a *fleet.AllocationListStub) {
	if m.shown[a.ID] == a.ClientStatus {
		return
	}
	m.shown[a.ID] = a.ClientStatus
	took := brief(time.Since(m.start))
	line := fmt.Sprintf("allocation %s %s on %s: %s", fleet.ShortID(a.ID), a.Name, a.NodeName, a.ClientStatus)
	switch a.ClientStatus {
	case fleet.ClientRunning:
		line += " after " + took
	case fleet.ClientFailed:
		if why := lastWords(a.TaskStates); why != "" {
			line += "\n  " + strings.ReplaceAll(why, "\n", "\n  ")
		}
	}
	fmt.Fprintln(m.Out, line)
}

// lastWords are the newest events that say why a task failed.
func lastWords(tasks map[string]*fleet.TaskState) string {
	var out []string
	for _, name := range sortedKeys(tasks) {
		for _, ev := range tasks[name].Events {
			switch ev.Type {
			case "Terminated", "Driver Failure", "Setup Failure", "Not Restarting", "Last Output", "Out of Memory":
				out = append(out, fmt.Sprintf("%s: %s: %s", name, ev.Type, strings.TrimSpace(ev.DisplayMessage)))
			}
		}
	}
	return strings.Join(out, "\n")
}
