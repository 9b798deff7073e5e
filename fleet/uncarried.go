package fleet

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// Verdict is what happens to a field that is understood but not carried out.
type Verdict int

const (
	// Warn: the job means the same without it, only less nicely.
	Warn Verdict = iota
	// Refuse: leaving it out would change security, data or correctness.
	Refuse
)

// Uncarried is one row of the table of fields that are not carried out.
type Uncarried struct {
	Verdict Verdict
	Why     string // what does not happen, and what to do instead
}

// uncarried has one row for each raw JSON field of the nouns (Task.Config
// excepted, which its driver reads). A test checks that it is complete.
var uncarried = map[string]Uncarried{
	"Job.AllAtOnce":     {Warn, "groups are placed as room is found, not all at once"},
	"Job.Periodic":      {Refuse, "periodic launches are not carried out; the job would run once, now"},
	"Job.Parameterized": {Refuse, "dispatch is not carried out; the job would run once, now, without its payload"},
	"Job.Multiregion":   {Refuse, "one job runs in one region; register it in each"},
	"Job.Vault":         {Refuse, "tasks would run without their secrets"},
	"Job.Consul":        {Refuse, "services are not registered in Consul"},
	"Job.UI":            {Warn, "there is no web page to show it"},
	"Job.ConsulToken":   {Refuse, "tokens of other systems are not checked"},
	"Job.VaultToken":    {Refuse, "tokens of other systems are not checked"},

	"Group.Services":                  {Warn, "services are not registered and their checks do not run"},
	"Group.Scaling":                   {Warn, "counts change only when the job is registered again"},
	"Group.Consul":                    {Refuse, "services are not registered in Consul"},
	"Group.ShutdownDelay":             {Warn, "tasks are stopped without the delay"},
	"Group.StopAfterClientDisconnect": {Refuse, "a device keeps its work running while it is cut off; write disconnect { stop_on_client_after = … }"},
	"Group.MaxClientDisconnect":       {Warn, "work of a lost node is replaced at once; write disconnect { lost_after = … }"},
	"Group.PreventRescheduleOnLost":   {Refuse, "work of a lost node is replaced elsewhere; write disconnect { replace = false }"},

	"Task.User":            {Refuse, "tasks run as the agent's user; the job asks for another"},
	"Task.Lifecycle":       {Refuse, "all tasks of a group start together; hooks and sidecars are not ordered"},
	"Task.Leader":          {Refuse, "the end of a leader task does not stop the others"},
	"Task.ShutdownDelay":   {Warn, "the task is stopped without the delay"},
	"Task.Artifacts":       {Refuse, "artifacts are not downloaded; name the Wasm module in config { module = … }"},
	"Task.Templates":       {Refuse, "templates are not rendered; the task would not find its configuration"},
	"Task.Vault":           {Refuse, "the task would run without its secrets"},
	"Task.Consul":          {Refuse, "services are not registered in Consul"},
	"Task.Identity":        {Refuse, "workload identities are not issued"},
	"Task.Identities":      {Refuse, "workload identities are not issued"},
	"Task.Secrets":         {Refuse, "the task would run without its secrets"},
	"Task.Services":        {Warn, "services are not registered and their checks do not run"},
	"Task.CSIPluginConfig": {Refuse, "storage plugins are not run"},
	"Task.DispatchPayload": {Refuse, "dispatch is not carried out"},
	"Task.ScalingPolicies": {Warn, "resources change only when the job is registered again"},
	"Task.Kind":            {Refuse, "service-mesh proxies are not run"},
	"Task.Schedule":        {Refuse, "the task would run outside the times it asks for"},

	"Resources.Cores":     {Refuse, "cores are not reserved; ask for MHz with cpu"},
	"Resources.DiskMB":    {Warn, "disk is asked for by the group: ephemeral_disk { size = … }"},
	"Resources.IOPS":      {Warn, "disk operations are not reserved"},
	"Resources.Networks":  {Refuse, "ports belong to the group; write network { port \"NAME\" { … } } beside its tasks"},
	"Resources.NUMA":      {Warn, "memory nodes are not chosen"},
	"Resources.SecretsMB": {Warn, "there is no secrets folder"},
	"Resources.Custom":    {Refuse, "custom resources are not reserved"},

	"Device.FirstAvailable": {Refuse, "a device is asked for by one name"},

	"Volume.PerAlloc":       {Refuse, "all allocations of a group on a device share its host volume"},
	"Volume.Sticky":         {Refuse, "a replacement is not kept to the device of its predecessor; constrain on ${node.unique.name}"},
	"Volume.AccessMode":     {Refuse, "whoever asks for a host volume gets it; nobody is kept from it because another has it"},
	"Volume.AttachmentMode": {Refuse, "a host volume is a folder and no block device"},
	"Volume.MountOptions":   {Refuse, "a host volume is shown as it is mounted on its device"},

	"VolumeMount.PropagationMode": {Warn, "what is mounted later inside of a volume is seen as far as the device sees it"},
	"VolumeMount.SELinuxLabel":    {Warn, "files are not labelled"},

	"Network.Hostname": {Refuse, "tasks have the host name of their device"},
	"Network.DNS":      {Refuse, "tasks resolve names as their device does"},
	"Network.CNI":      {Refuse, "network plugins are not run"},
	"Network.MBits":    {Warn, "bandwidth is not reserved"},
	"Network.Device":   {Refuse, "interfaces are not chosen; a port is held on all of the device's addresses"},
	"Network.CIDR":     {Refuse, "addresses are not chosen; a port is held on all of the device's addresses"},
	"Network.IP":       {Refuse, "addresses are not chosen; a port is held on all of the device's addresses"},

	"Port.HostNetwork":     {Refuse, "a port is held on all of the device's addresses"},
	"Port.IgnoreCollision": {Refuse, "a port is held by one allocation alone"},

	"LogConfig.Disabled": {Warn, "logs are always kept, within max_files and max_file_size"},
}

// rawFields calls f for each raw JSON field of the struct v points to,
// embedded structs included.
func rawFields(v any, f func(name string, raw *json.RawMessage)) {
	walkRaw(reflect.ValueOf(v).Elem(), f)
}

func walkRaw(v reflect.Value, f func(string, *json.RawMessage)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if raw, ok := v.Field(i).Addr().Interface().(*json.RawMessage); ok {
			f(field.Name, raw)
		} else if field.Anonymous {
			walkRaw(v.Field(i), f)
		}
	}
}

// clearEmpty drops raw fields that ask for nothing, which is how clients send
// what their users did not write.
func clearEmpty(block any) {
	rawFields(block, func(_ string, raw *json.RawMessage) {
		if emptyJSON(*raw) {
			*raw = nil
		} else {
			*raw = canonicalJSON(*raw)
		}
	})
}

// emptyJSON reports whether raw is nothing, null, or the zero of its kind.
func emptyJSON(raw json.RawMessage) bool {
	switch string(bytes.TrimSpace(raw)) {
	case "", "null", "[]", "{}", `""`, "false", "0":
		return true
	}
	return false
}

// checkUncarried reports each field of the block that asks for something which
// is not carried out.
func (c *checker) checkUncarried(noun, path string, block any) {
	rawFields(block, func(name string, raw *json.RawMessage) {
		if emptyJSON(*raw) || noun == "Task" && name == "Config" {
			return
		}
		row := uncarried[noun+"."+name]
		if harmlessDefault(noun+"."+name, *raw) {
			return
		}
		at := strings.TrimPrefix(path+"."+name, ".")
		msg := strings.TrimSuffix(name, "MB") + " is not carried out: " + row.Why
		if row.Verdict == Refuse {
			c.refuse(at, msg, "remove it from the job")
		} else {
			c.warn(at, msg)
		}
	})
}

// harmlessDefault recognises blocks that official clients fill in by themselves
// with values that ask for nothing beyond what Dunlin does anyway.
func harmlessDefault(name string, raw json.RawMessage) bool {
	switch name {
	case "VolumeMount.PropagationMode":
		return string(raw) == `"private"`
	case "Port.HostNetwork":
		return string(raw) == `"default"`
	case "Group.Consul", "Task.Consul", "Job.Consul":
		return allEmpty(raw, "default")
	}
	return false
}

// allEmpty reports whether raw is an object whose values are empty or def.
func allEmpty(raw json.RawMessage, def string) bool {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return false
	}
	for _, v := range m {
		if !emptyJSON(v) && string(v) != `"`+def+`"` {
			return false
		}
	}
	return true
}
