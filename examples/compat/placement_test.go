package compat

import (
	"strings"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
)

// TestPlacementByTheOfficialClient: pools, the scheduler's configuration, and a job
// whose preferences arrive as they were written.
func TestPlacementByTheOfficialClient(t *testing.T) {
	agent := start(t)
	c, err := nomad.NewClient(&nomad.Config{Address: agent.address})
	if err != nil {
		t.Fatal(err)
	}
	node := awaitNode(t, c)

	pool := &nomad.NodePool{Name: "shops", Description: "in shops", Meta: map[string]string{"owner": "retail"},
		SchedulerConfiguration: &nomad.NodePoolSchedulerConfiguration{SchedulerAlgorithm: nomad.SchedulerAlgorithmSpread}}
	if _, err := c.NodePools().Register(pool, nil); err != nil {
		t.Fatalf("register a pool: %v", err)
	}
	got, _, err := c.NodePools().Info("shops", nil)
	if err != nil || got.Meta["owner"] != "retail" || got.SchedulerConfiguration.SchedulerAlgorithm != nomad.SchedulerAlgorithmSpread {
		t.Fatalf("pool %+v, %v", got, err)
	}
	if pools, _, err := c.NodePools().List(nil); err != nil || len(pools) != 3 {
		t.Errorf("%d pools, %v", len(pools), err)
	}
	if nodes, _, err := c.NodePools().ListNodes("default", nil); err != nil || len(nodes) != 1 || nodes[0].ID != node.ID {
		t.Errorf("nodes of the default pool: %v, %v", nodes, err)
	}

	config, _, err := c.Operator().SchedulerGetConfiguration(nil)
	if err != nil || config.SchedulerConfig.SchedulerAlgorithm != nomad.SchedulerAlgorithmBinpack {
		t.Fatalf("scheduler %+v, %v", config, err)
	}
	config.SchedulerConfig.SchedulerAlgorithm = nomad.SchedulerAlgorithmSpread
	set, _, err := c.Operator().SchedulerCASConfiguration(config.SchedulerConfig, nil)
	if err != nil || !set.Updated {
		t.Fatalf("set: %+v, %v", set, err)
	}
	if set, _, err = c.Operator().SchedulerCASConfiguration(config.SchedulerConfig, nil); err != nil || set.Updated {
		t.Errorf("set at an index that has passed: %+v, %v", set, err)
	}

	job := helloJob(agent.push(t))
	job.NodePool = ptr("default")
	job.AddAffinity(nomad.NewAffinity("${attr.cpu.arch}", "=", "amd64", 50))
	job.AddSpread(nomad.NewSpread("${node.datacenter}", 80, []*nomad.SpreadTarget{nomad.NewSpreadTarget("dc1", 60)}))
	job.TaskGroups[0].AddAffinity(nomad.NewAffinity("${node.class}", "regexp", "^big", -20))
	job.TaskGroups[0].Tasks[0].AddAffinity(nomad.NewAffinity("${attr.kernel.name}", "set_contains_any", "linux,darwin", 10))
	job.TaskGroups[0].Constrain(nomad.NewConstraint("${node.unique.name}", "distinct_property", "3"))
	reg, _, err := c.Jobs().Register(job, nil)
	if err != nil || strings.Contains(reg.Warnings, "not carried out") {
		t.Fatalf("register: %+v, %v", reg, err)
	}
	read, _, err := c.Jobs().Info("hello", nil)
	if err != nil || len(read.Affinities) != 1 || *read.Affinities[0].Weight != 50 || *read.Spreads[0].Weight != 80 ||
		read.Spreads[0].SpreadTarget[0].Percent != 60 || *read.TaskGroups[0].Affinities[0].Weight != -20 {
		t.Fatalf("job %+v, %v", read, err)
	}
	alloc := awaitAlloc(t, c, "hello", func(a *nomad.AllocationListStub) bool { return a.ClientStatus == nomad.AllocClientStatusRunning })
	whole, _, err := c.Allocations().Info(alloc.ID, nil)
	if err != nil || len(whole.Metrics.ScoreMetaData) != 1 || whole.Metrics.ScoreMetaData[0].Scores["node-affinity"] == 0 {
		t.Errorf("metrics %+v, %v", whole.Metrics, err)
	}
	if _, _, err := c.Jobs().Deregister("hello", false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.NodePools().Delete("shops", nil); err != nil {
		t.Errorf("delete the pool: %v", err)
	}
}
