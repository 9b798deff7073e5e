package host

// unowned is the owner of a descendant that nothing ties to a task: it left its task's session, lost its parents and cleared
// its environment.
const unowned = ""

// attribute tells which task each descendant of the host belongs to. leaders are the processes the host started itself, also
// those that have ended but whose end is not finished; mark reads a process's task from its environment.
//
// A child of a task's process belongs to the task. An orphan, which the kernel gives to the host as the nearest subreaper,
// belongs to the task whose leader's session it is in, or whose mark it carries. The host itself and the dead are left out.
func attribute(table []proc, host int, leaders map[int]string, mark func(pid int) string) map[string][]proc {
	byParent := map[int][]proc{}
	for _, p := range table {
		byParent[p.ppid] = append(byParent[p.ppid], p)
	}
	owned := map[string][]proc{}
	type item struct {
		proc
		owner string
	}
	var queue []item
	for _, p := range byParent[host] {
		owner, isLeader := leaders[p.pid]
		if !isLeader {
			if owner = leaders[p.session]; owner == unowned {
				owner = mark(p.pid)
			}
		}
		queue = append(queue, item{p, owner})
	}
	// A process table read piece by piece may show a parent twice over reused numbers; seen keeps the walk finite.
	seen := map[int]bool{host: true}
	for len(queue) > 0 {
		it := queue[0]
		queue = queue[1:]
		if seen[it.pid] {
			continue
		}
		seen[it.pid] = true
		if !it.dead() {
			owned[it.owner] = append(owned[it.owner], it.proc)
		}
		for _, p := range byParent[it.pid] {
			queue = append(queue, item{p, it.owner})
		}
	}
	return owned
}

// leftBehind picks, from the process table, what a dead host's task has left running. leader and start name the task's first
// process. A process is ours if it carries the task's mark, if it is the leader itself, if it is in the leader's session
// while the leader lives, or if it descends from one that is ours. Being in a session of that number without a living leader
// proves nothing: the number may have been given away since.
func leftBehind(table []proc, id string, leader int, start uint64, mark func(pid int) string) []proc {
	leaderLives := false
	for _, p := range table {
		if p.pid == leader && p.start == start && start != 0 {
			leaderLives = true
		}
	}
	ours := map[int]bool{}
	for _, p := range table {
		if (leaderLives && (p.pid == leader || p.session == leader)) || mark(p.pid) == id {
			ours[p.pid] = true
		}
	}
	for grew := true; grew; {
		grew = false
		for _, p := range table {
			if ours[p.ppid] && !ours[p.pid] {
				ours[p.pid], grew = true, true
			}
		}
	}
	var left []proc
	for _, p := range table {
		if ours[p.pid] && !p.dead() {
			left = append(left, p)
		}
	}
	return left
}
