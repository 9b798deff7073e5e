package compat

import (
	"strings"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
)

// TestDevicesByTheOfficialClient: what a task asks of its node's devices arrives as it was written, and a plan says that no node
// has it. What is offered here is whatever this machine has.
func TestDevicesByTheOfficialClient(t *testing.T) {
	agent := start(t)
	c, err := nomad.NewClient(&nomad.Config{Address: agent.address})
	if err != nil {
		t.Fatal(err)
	}
	stub := awaitNode(t, c)
	node, _, err := c.Nodes().Info(stub.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range node.NodeResources.Devices {
		if d.Vendor == "" || d.Type == "" || d.Name == "" || len(d.Instances) == 0 || d.Instances[0].ID == "" || !d.Instances[0].Healthy {
			t.Errorf("device %+v", d)
		}
	}
	count := uint64(2)
	job := helloJob(agent.push(t))
	job.TaskGroups[0].Tasks[0].Resources.Devices = []*nomad.RequestedDevice{{
		Name: "acme/perpetuum", Count: &count,
		Constraints: []*nomad.Constraint{nomad.NewConstraint("${device.attr.power}", ">=", "2 GiB")},
		Affinities:  []*nomad.Affinity{nomad.NewAffinity("${device.model}", "=", "mk2", -70)},
	}}
	plan, _, err := c.Jobs().Plan(job, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := plan.FailedTGAllocs["hello"]
	if failed == nil || failed.ConstraintFiltered["device acme/perpetuum"] != 1 {
		t.Errorf("plan: %+v", failed)
	}
	if reg, _, err := c.Jobs().Register(job, nil); err != nil || strings.Contains(reg.Warnings, "not carried out") {
		t.Fatalf("register: %+v, %v", reg, err)
	}
	read, _, err := c.Jobs().Info("hello", nil)
	if err != nil {
		t.Fatal(err)
	}
	ds := read.TaskGroups[0].Tasks[0].Resources.Devices
	if len(ds) != 1 || ds[0].Name != "acme/perpetuum" || *ds[0].Count != 2 || len(ds[0].Constraints) != 1 || ds[0].Constraints[0].RTarget != "2 GiB" ||
		len(ds[0].Affinities) != 1 || *ds[0].Affinities[0].Weight != -70 {
		t.Errorf("devices %+v", ds)
	}
}
