package greenplum

import (
	"testing"

	"cw/cluster"
	"cw/cluster/redistribute"
)

func TestDisksOfAHost(t *testing.T) {
	t.Parallel()
	r := &redistribution{busy: map[string]deviceTime{}}
	nodes := []cluster.Node{{Content: 0}, {Content: 3}, {Content: 1}}
	const dirs = "dir 2064 1000 400 /data 1\ndir 2065 2000 700 /data2\ndir 2064 1000 400 /data 1\n"
	first, err := r.disks("sdw1", nodes, "up 100.50\n"+dirs+"dev 8 16 5000\ndev 8 1 77\n")
	if err != nil || len(first) != 2 || first[0].Mount != "/data 1" || first[0].Free != 400<<10 || first[0].Size != 1000<<10 || first[0].Busy >= 0 || len(first[0].Contents) != 2 || first[0].Contents[1] != 1 {
		t.Fatalf("%+v %v", first, err)
	}
	second, err := r.disks("sdw1", nodes, "up 104.50\n"+dirs+"dev 8 16 8000\n")
	if err != nil || second[0].Busy != 0.75 || second[1].Busy >= 0 {
		t.Errorf("%+v %v", second, err)
	}
	if _, err := r.disks("sdw1", nodes, "up 104.50\ndir 2064 1000 400 /data\n"); err == nil {
		t.Error("an answer about one of three folders was taken")
	}
}

func TestDeviceName(t *testing.T) {
	t.Parallel()
	for dev, want := range map[uint64]string{2064: "8:16", 66306: "259:2", 1048577: "0:257"} {
		if got := deviceName(dev); got != want {
			t.Errorf("%d is %s, not %s", dev, got, want)
		}
	}
	var _ redistribute.Cluster = &redistribution{}
}

func FuzzDisks(f *testing.F) {
	f.Add("up 1.5\ndir 2064 10 4 /data\ndir 2064 10 4 /data\ndev 8 16 7\n")
	f.Add("up x\ndir 1 2 3\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := &redistribution{busy: map[string]deviceTime{}}
		list, err := r.disks("h", []cluster.Node{{Content: 0}, {Content: 1}}, text)
		n := 0
		for _, d := range list {
			n += len(d.Contents)
		}
		if err == nil && n != 2 {
			t.Errorf("%q: %+v", text, list)
		}
	})
}
