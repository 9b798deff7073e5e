package statedb

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// smallDisk mounts a file system of its own.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("dunlin-test", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("no file system of one's own can be mounted (%v): run as root to try a full and a read-only disk", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillUp leaves no room on the disk, and returns what gives it back.
func fillUp(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// On a full disk a change is refused as a whole, in words, and what was accepted before stays; with room it is taken.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "size=512k")
	fill(t, dir, 3)
	db, _ := open(t, dir, nil)
	free := fillUp(t, dir)
	big := change(3)
	big.Jobs[0].JSON = make([]byte, 16<<10)
	for range 3 {
		if err := db.Save(big); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("a change on a full disk: %v", err)
		}
	}
	closed(t, db)
	// A power cut now, and a boot while there is still no room.
	db, got := open(t, dir, nil)
	if diff := cmp.Diff(after(3), got); diff != "" {
		t.Fatal(diff)
	}
	if err := db.Save(big); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a change after a boot with a full disk: %v", err)
	}
	free()
	if err := db.Save(change(3)); err != nil {
		t.Fatal(err)
	}
	closed(t, db)
	db, got = open(t, dir, nil)
	if diff := cmp.Diff(after(4), got); diff != "" {
		t.Fatal(diff)
	}
	closed(t, db)
}

// A device whose file system is read-only reads what it has, refuses changes, and takes them when the disk is well again. One
// copy was torn by whatever made the disk read-only.
func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, "size=512k")
	fill(t, dir, 3)
	copies := contents(t, dir)
	lay(t, dir, [2][]byte{copies[0][:len(copies[0])-5], copies[1]})
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("dunlin-test", dir, "tmpfs", syscall.MS_REMOUNT|flags, "size=512k"); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	db, got := open(t, dir, nil)
	if diff := cmp.Diff(after(3), got); diff != "" {
		t.Fatal(diff)
	}
	if err := db.Save(change(3)); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("a change on a read-only disk: %v", err)
	}
	remount(0)
	if err := db.Save(change(3)); err != nil {
		t.Fatal(err)
	}
	closed(t, db)
	if whole := contents(t, dir); len(whole[0]) == 0 {
		t.Error("the torn copy was not made anew")
	}
	db, got = open(t, dir, nil)
	if diff := cmp.Diff(after(4), got); diff != "" {
		t.Fatal(diff)
	}
	closed(t, db)
}
