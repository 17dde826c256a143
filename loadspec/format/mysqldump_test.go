package format

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"cw/fault"
	"cw/loadspec"
)

func dumpInput(table, columns string) Input {
	in := jsonInput(columns)
	in.URL = "x.sql"
	in.Convert = loadspec.Convert{Kind: loadspec.FormatMySQLDump, Table: table, ZeroDates: loadspec.ZeroDatesNull}
	return in
}

// dump is written after what MariaDB's manual shows of mariadb-dump's output:
// no MariaDB could be had here to write a real one.
const dump = `/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: shop; it's
-- ------------------------------------------------------
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS ` + "`other`" + `;
CREATE TABLE ` + "`other`" + ` (
  ` + "`id`" + ` int(11) NOT NULL
) ENGINE=InnoDB;
INSERT INTO ` + "`other`" + ` VALUES (1),(2); INSERT INTO other VALUES (3);
CREATE TABLE IF NOT EXISTS ` + "`Order``s`" + ` (
  ` + "`Id`" + ` int(11) NOT NULL AUTO_INCREMENT COMMENT 'with (a, paren',
  ` + "`name`" + ` varchar(20) DEFAULT NULL,
  ` + "`price`" + ` decimal(10,2) DEFAULT 0.00,
  ` + "`at`" + ` datetime DEFAULT '0000-00-00 00:00:00',
  ` + "`data`" + ` blob DEFAULT NULL,
  ` + "`kind`" + ` enum('a,','b'')') DEFAULT NULL,
  ` + "`on`" + ` bit(1) DEFAULT NULL,
  PRIMARY KEY (` + "`Id`" + `),
  KEY ` + "`k`" + ` (` + "`name`,`price`" + `)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
LOCK TABLES ` + "`Order``s`" + ` WRITE;
/*!40000 ALTER TABLE ` + "`Order``s`" + ` DISABLE KEYS */;
INSERT INTO ` + "`Order``s`" + ` VALUES
(1,'it\'s ''q''; \"d\"',-1.50,'2024-02-29 10:00:00',_binary 'a\0\n\\\Z','a,',_binary '\1'),
(2,'tab\tnew\nline\r\\ 5\% (x),',0.00,'0000-00-00 00:00:00',0x00FF1a,'b'')',b'1'),(3,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT  IGNORE INTO ` + "shop.`Order``s` (`name`, `Id`, `price`,`at`,`data`,`kind`,`on`)" + ` VALUES ('é😀',4,1e5,'2024-01-01',_binary 0xAB, '', '\0');
/*!40000 ALTER TABLE ` + "`Order``s`" + ` ENABLE KEYS */;
UNLOCK TABLES;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=x*/ /*!50003 TRIGGER t BEFORE INSERT ON x FOR EACH ROW BEGIN
  INSERT INTO ` + "`Order``s`" + ` VALUES (9,9,9,9,9,9,9); END */;;
CREATE PROCEDURE p() BEGIN INSERT INTO ` + "`Order``s`" + ` VALUES (9,'it;;',9,9,9,9,9); END ;;
DELIMITER ;
-- Dump completed on 2024-02-29 10:00:00
`

const dumped = "1\tit's 'q'; \"d\"\t-1.50\t2024-02-29 10:00:00\t\\\\x61000a5c1a\ta,\t\x01\n" +
	"2\ttab\\tnew\\nline\\r\\\\ 5\\\\% (x),\t0.00\t\\N\t\\\\x00ff1a\tb')\t1\n" +
	"3\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n" +
	"4\té😀\t1e5\t2024-01-01\t\\\\xab\t\t0\n"

func TestMySQLDump(t *testing.T) {
	t.Parallel()
	// \1 is no escape of MySQL's: the digit 1.
	want := strings.Replace(dumped, "\x01\n", "1\n", 1)
	in := dumpInput("Order`s", "id name price at:timestamp data:bytea kind on:boolean")
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(dump), "by the byte": iotest.OneByteReader(strings.NewReader(dump))} {
		got, err := convert(in, r)
		if err != nil || got != want {
			t.Errorf("%s: %v\ngot  %q\nwant %q", name, err, got, want)
		}
	}
	got, err := convert(dumpInput("other", "id"), strings.NewReader(dump))
	if err != nil || got != "1\n2\n3\n" {
		t.Errorf("other: %q, %v", got, err)
	}
	got, err = convert(dumpInput("Order`s", "kind id"), strings.NewReader(dump))
	if err != nil || got != "a,\t1\nb')\t2\n\\N\t3\n\t4\n" {
		t.Errorf("some columns: %q, %v", got, err)
	}
}

func TestMySQLDumpRefused(t *testing.T) {
	t.Parallel()
	const head = "CREATE TABLE `t` (`a` int, `b` date);\n"
	for _, c := range []struct{ columns, data, want, hint string }{
		{"a", "INSERT INTO u VALUES (1);", "table t is not in the dump", "the dump has: u"},
		{"a", "", "table t is not in the dump", "is it a dump"},
		{"a", "INSERT INTO t VALUES (1);", "nothing tells the names", "--complete-insert"},
		{"a c", head + "INSERT INTO t VALUES (1,'x');", "table t has no column c", `"a", "b"`},
		{"a", head + "INSERT INTO t VALUES (1);", "line 2, column 24: mysqldump: 1 values, but there are 2", ""},
		{"a", head + "INSERT INTO t VALUES (1,2,3);", "more than 2 values", ""},
		{"a", head + "INSERT INTO t VALUES (1,2),(3,'x", "line 2, column 28: mysqldump: the dump ends inside", ""},
		{"a", head + "INSERT INTO t VALUES (now(),2);", "is no value that dumps have", ""},
		{"a", head + "INSERT INTO t VALUES ('a\\0b',2);", "column a: a text with a zero byte", ""},
		{"b:date", head + "INSERT INTO t VALUES (1,'0000-00-00');", "ZERO_DATES", ""},
		{"a", head + "INSERT INTO t VALUES (0xabc,2);", "an odd or wrong hexadecimal", ""},
		{"a", head + "INSERT INTO t VALUES (_latin1 'x',2);", "default-character-set", ""},
	} {
		in := dumpInput("t", c.columns)
		in.Convert.ZeroDates = loadspec.ZeroDatesError
		_, err := convert(in, strings.NewReader(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%s: %v (hint %s), want %s", c.data, err, fault.HintOf(err), c.want)
		}
	}
}

// FuzzMySQLDump looks for panics, hangs, and for rows that depend on how the
// data arrives.
func FuzzMySQLDump(f *testing.F) {
	f.Add(dump, uint8(3))
	f.Add("CREATE TABLE t (`a` int);INSERT INTO t VALUES (1),('x\\'');", uint8(1))
	f.Add("INSERT INTO t(a) VALUES (_binary 'x'),(0x00) ON DUPLICATE KEY UPDATE a=1;--\n#\nDELIMITER //\n", uint8(2))
	f.Fuzz(func(t *testing.T, data string, chunk uint8) {
		in := dumpInput("t", "a:bytea")
		whole, err := convert(in, strings.NewReader(data))
		parts, err2 := convert(in, &chunks{strings.NewReader(data), int(chunk%9) + 1})
		if whole != parts || (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %q, %v\nin pieces: %q, %v", whole, err, parts, err2)
		}
		if err == nil && strings.Count(whole, "\n") > strings.Count(data, "(") {
			t.Fatalf("%q: more rows than there are: %q", data, whole)
		}
	})
}
