;; CRC-32C of WAL records where they lie: src/common/crc32c.ts again, with the loads that WebAssembly has. Built by native/build.mjs.
;;
;;   0 .. 16383   the 16 tables of slicing by 16, 256 words each, as crc32c.ts makes them
;;   16384 ..     bytes of WAL
;;
;; 1020 is 255 * 4: a byte of a word, shifted to be the offset of a word in a table.
(module
  (memory (import "ltap" "memory") 1)

  ;; Goes on with a CRC over [at, end): as crc32cUpdate.
  (func $update (param $crc i32) (param $at i32) (param $end i32) (result i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (block $short
      (loop $sixteen
        (br_if $short (i32.lt_s (i32.sub (local.get $end) (local.get $at)) (i32.const 16)))
        (local.set $a (i32.xor (local.get $crc) (i32.load (local.get $at))))
        (local.set $b (i32.load offset=4 (local.get $at)))
        (local.set $c (i32.load offset=8 (local.get $at)))
        (local.set $d (i32.load offset=12 (local.get $at)))
        (local.set $crc
          (i32.xor
            (i32.xor
              (i32.xor
                (i32.xor
                  (i32.load offset=15360 (i32.and (i32.shl (local.get $a) (i32.const 2)) (i32.const 1020)))
                  (i32.load offset=14336 (i32.and (i32.shr_u (local.get $a) (i32.const 6)) (i32.const 1020))))
                (i32.xor
                  (i32.load offset=13312 (i32.and (i32.shr_u (local.get $a) (i32.const 14)) (i32.const 1020)))
                  (i32.load offset=12288 (i32.and (i32.shr_u (local.get $a) (i32.const 22)) (i32.const 1020)))))
              (i32.xor
                (i32.xor
                  (i32.load offset=11264 (i32.and (i32.shl (local.get $b) (i32.const 2)) (i32.const 1020)))
                  (i32.load offset=10240 (i32.and (i32.shr_u (local.get $b) (i32.const 6)) (i32.const 1020))))
                (i32.xor
                  (i32.load offset=9216 (i32.and (i32.shr_u (local.get $b) (i32.const 14)) (i32.const 1020)))
                  (i32.load offset=8192 (i32.and (i32.shr_u (local.get $b) (i32.const 22)) (i32.const 1020))))))
            (i32.xor
              (i32.xor
                (i32.xor
                  (i32.load offset=7168 (i32.and (i32.shl (local.get $c) (i32.const 2)) (i32.const 1020)))
                  (i32.load offset=6144 (i32.and (i32.shr_u (local.get $c) (i32.const 6)) (i32.const 1020))))
                (i32.xor
                  (i32.load offset=5120 (i32.and (i32.shr_u (local.get $c) (i32.const 14)) (i32.const 1020)))
                  (i32.load offset=4096 (i32.and (i32.shr_u (local.get $c) (i32.const 22)) (i32.const 1020)))))
              (i32.xor
                (i32.xor
                  (i32.load offset=3072 (i32.and (i32.shl (local.get $d) (i32.const 2)) (i32.const 1020)))
                  (i32.load offset=2048 (i32.and (i32.shr_u (local.get $d) (i32.const 6)) (i32.const 1020))))
                (i32.xor
                  (i32.load offset=1024 (i32.and (i32.shr_u (local.get $d) (i32.const 14)) (i32.const 1020)))
                  (i32.load offset=0 (i32.and (i32.shr_u (local.get $d) (i32.const 22)) (i32.const 1020))))))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $sixteen)))
    (if (i32.ge_s (i32.sub (local.get $end) (local.get $at)) (i32.const 8))
      (then
        (local.set $a (i32.xor (local.get $crc) (i32.load (local.get $at))))
        (local.set $b (i32.load offset=4 (local.get $at)))
        (local.set $crc
          (i32.xor
            (i32.xor
              (i32.xor
                (i32.load offset=7168 (i32.and (i32.shl (local.get $a) (i32.const 2)) (i32.const 1020)))
                (i32.load offset=6144 (i32.and (i32.shr_u (local.get $a) (i32.const 6)) (i32.const 1020))))
              (i32.xor
                (i32.load offset=5120 (i32.and (i32.shr_u (local.get $a) (i32.const 14)) (i32.const 1020)))
                (i32.load offset=4096 (i32.and (i32.shr_u (local.get $a) (i32.const 22)) (i32.const 1020)))))
            (i32.xor
              (i32.xor
                (i32.load offset=3072 (i32.and (i32.shl (local.get $b) (i32.const 2)) (i32.const 1020)))
                (i32.load offset=2048 (i32.and (i32.shr_u (local.get $b) (i32.const 6)) (i32.const 1020))))
              (i32.xor
                (i32.load offset=1024 (i32.and (i32.shr_u (local.get $b) (i32.const 14)) (i32.const 1020)))
                (i32.load offset=0 (i32.and (i32.shr_u (local.get $b) (i32.const 22)) (i32.const 1020)))))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))))
    (if (i32.ge_s (i32.sub (local.get $end) (local.get $at)) (i32.const 4))
      (then
        (local.set $a (i32.xor (local.get $crc) (i32.load (local.get $at))))
        (local.set $crc
          (i32.xor
            (i32.xor
              (i32.load offset=3072 (i32.and (i32.shl (local.get $a) (i32.const 2)) (i32.const 1020)))
              (i32.load offset=2048 (i32.and (i32.shr_u (local.get $a) (i32.const 6)) (i32.const 1020))))
            (i32.xor
              (i32.load offset=1024 (i32.and (i32.shr_u (local.get $a) (i32.const 14)) (i32.const 1020)))
              (i32.load offset=0 (i32.and (i32.shr_u (local.get $a) (i32.const 22)) (i32.const 1020))))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))))
    (block $done
      (loop $byte
        (br_if $done (i32.ge_s (local.get $at) (local.get $end)))
        (local.set $crc
          (i32.xor
            (i32.shr_u (local.get $crc) (i32.const 8))
            (i32.load
              (i32.shl (i32.and (i32.xor (local.get $crc) (i32.load8_u (local.get $at))) (i32.const 255)) (i32.const 2)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $byte)))
    (local.get $crc))

  ;; Whether the CRC of the record at $at is right: over all behind the header of 24 bytes, then over its first 20, where the CRC is next.
  (func $isRight (param $at i32) (param $length i32) (result i32)
    (i32.eq
      (i32.load offset=20 (local.get $at))
      (i32.xor
        (i32.const -1)
        (call $update
          (call $update
            (i32.const -1)
            (i32.add (local.get $at) (i32.const 24))
            (i32.add (local.get $at) (local.get $length)))
          (local.get $at)
          (i32.add (local.get $at) (i32.const 20))))))

  ;; Where the first record of [at, limit) begins that is not whole there or whose CRC is wrong. Records begin at multiples of 8 from $at.
  (func (export "soundUpTo") (param $at i32) (param $limit i32) (result i32)
    (local $length i32) (local $room i32)
    (block $stop
      (loop $record
        (local.set $room (i32.sub (local.get $limit) (local.get $at)))
        (br_if $stop (i32.lt_s (local.get $room) (i32.const 24)))
        (local.set $length (i32.load (local.get $at)))
        (br_if $stop (i32.lt_u (local.get $length) (i32.const 24)))
        (br_if $stop (i32.gt_u (local.get $length) (local.get $room)))
        (br_if $stop (i32.eqz (call $isRight (local.get $at) (local.get $length))))
        (local.set $at (i32.add (local.get $at) (i32.and (i32.add (local.get $length) (i32.const 7)) (i32.const -8))))
        (br $record)))
    (local.get $at)))
