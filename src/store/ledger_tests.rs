use super::*;

fn credited(no: u32) -> Line {
    Line::Credited { c: 7, f: Bytes([0xff, 0, 1, 2, 3, 4, 5, 6, 7]), round: 0, channel: 1, pack: 2, no }
}

#[test]
fn a_line_is_read_as_the_scripts_write_it() {
    // lua-cmsgpack writes {"P", 7, "\xff\0\1…", 0, 1, 2, 300} with raw strings of any bytes.
    let mut packed = vec![0x91, 0x97, 0xa1, b'P', 7, 0xa9, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2];
    packed.extend([0xcd, 1, 44]);
    assert_eq!(decode_lines(&packed), Ok(vec![credited(300)]));
    assert_eq!(decode_lines(&encode_lines(&[credited(300)])), Ok(vec![credited(300)]));
}

#[test]
fn a_line_that_is_too_short_or_unknown_is_refused_with_a_reason() {
    assert_eq!(decode_lines(&[0x91, 0x92, 0xa1, b'P', 7]), Err("f is missing".to_owned()));
    assert_eq!(decode_lines(&[0x91, 0x92, 0xa1, b'Z', 7]), Err("unknown kind of line Z".to_owned()));
}

#[test]
fn gaps_overlaps_and_unreadable_entries_come_out_as_data() {
    let mut reader = Sequence::new();
    let mut items = Vec::new();
    reader.accept(1, Ok((5, vec![credited(1), credited(2)])), &mut items);
    reader.accept(4, Ok((6, vec![credited(3)])), &mut items);
    reader.accept(5, Err("torn".into()), &mut items);
    reader.accept(7, Ok((7, vec![credited(4), credited(5)])), &mut items);
    reader.accept(8, Ok((8, vec![credited(6)])), &mut items);
    let gaps: Vec<_> = items
        .iter()
        .filter_map(|item| if let Item::Gap(gap) = item { Some((gap.after, gap.before, gap.missing)) } else { None })
        .collect();
    assert_eq!(gaps, [(2, 4, 1), (4, 7, 2), (8, 8, -1)]);
    let seqs: Vec<_> =
        items.iter().filter_map(|item| if let Item::Entry(entry) = item { Some(entry.seq) } else { None }).collect();
    assert_eq!(seqs, [1, 2, 4, 7, 8, 8]);
    assert_eq!(reader.gap_at_end(8), None);
    assert_eq!(reader.gap_at_end(10).map(|gap| gap.missing), Some(2));
}
