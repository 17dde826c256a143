package memory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/perfcheck"
)

// peer is a C program that does what Run does with one thread: the same
// arrays, passes and way to count.
const peer = `
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
static double now(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec+t.tv_nsec*1e-9;}
int main(int argc,char**argv){
  long n=atol(argv[2])/8,i;double secs=atof(argv[3]),s=3.0,best=1e9,all[100000];int k=0;
  double *m=mmap(0,3*n*8+(3<<21),PROT_READ|PROT_WRITE,MAP_PRIVATE|MAP_ANONYMOUS,-1,0);
  madvise(m,3*n*8,MADV_HUGEPAGE);
  double *restrict a=m,*restrict b=m+n,*restrict c=m+2*n;
  for(i=0;i<n;i++){a[i]=1;b[i]=2;c[i]=0.5;}
  int bytes=16;
  for(double t0=now();now()-t0<secs;){
    double p=now();
    if(!strcmp(argv[1],"copy")) for(i=0;i<n;i++) c[i]=a[i];
    else if(!strcmp(argv[1],"scale")) for(i=0;i<n;i++) b[i]=s*c[i];
    else if(!strcmp(argv[1],"add")) {bytes=24; for(i=0;i<n;i++) c[i]=a[i]+b[i];}
    else {bytes=24; for(i=0;i<n;i++) a[i]=b[i]+s*c[i];}
    double d=now()-p; if(d<best) best=d; all[k++]=d;
  }
  printf("%.0f %f\n",(double)n*bytes/best,a[n/2]+b[n/3]+c[n-1]);
  return 0;
}`

// TestBenchAgainstC holds the kernels against C -O3, interleaved in random
// order with C against itself as the control.
func TestBenchAgainstC(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("set CW_BENCH=1 to compare with C")
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "peer.c"), filepath.Join(dir, "peer")
	if err := os.WriteFile(source, []byte(peer), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-O3", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	const bytes, pairs = 384 << 20, 5
	inC := func(kernel string) float64 {
		out, err := exec.Command(program, kernel, fmt.Sprint(bytes), "1").Output()
		var rate, sum float64
		if _, e := fmt.Fscan(strings.NewReader(string(out)), &rate, &sum); err != nil || e != nil {
			t.Fatal(err, e)
		}
		return rate
	}
	inGo := func(kernel string) float64 {
		m, err := Run(context.Background(), Job{Kernel: kernel, Threads: 1, Bytes: bytes, Timing: perfcheck.Timing{Duration: time.Second}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m.Values["throughput"]
	}
	for _, kernel := range []string{Triad, Copy, Scale, Add} {
		var ratios, control []float64
		for range pairs {
			var c, g float64
			first := inC(kernel)
			if rand.IntN(2) == 0 {
				g, c = inGo(kernel), inC(kernel)
			} else {
				c, g = inC(kernel), inGo(kernel)
			}
			ratios, control = append(ratios, g/c), append(control, first/c)
		}
		slices.Sort(ratios)
		slices.Sort(control)
		t.Logf("%-6s Go/C %.3f (%.2f to %.2f), C/C %.3f (%.2f to %.2f)", kernel, ratios[pairs/2], ratios[0], ratios[pairs-1], control[pairs/2], control[0], control[pairs-1])
		if kernel == Triad && ratios[pairs/2] < 0.93*min(1, control[pairs/2]) {
			t.Errorf("triad reaches %.3f of C -O3, not 0.93", ratios[pairs/2])
		}
	}
}
