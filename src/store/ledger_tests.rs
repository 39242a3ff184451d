use super::*;

fn credited(no: u32) -> Line {
    Line::Credited { c: 7, f: Bytes([0xff, 0, 1, 2, 3, 4, 5, 6, 7]), round: 0, channel: 1, pack: 2, no, received: 0 }
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
fn a_run_is_read_as_a_line_for_each_person() {
    // {"p", 7, 0, 1, 2, step 4, two persons, first number 9}, then a line of its own.
    let mut packed = vec![0x92, 0x98, 0xa1, b'p', 7, 0, 1, 2, 4, 0xb2];
    packed.extend([0xff, 0, 1, 2, 3, 4, 5, 6, 7, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 9]);
    packed.extend(&encode_lines(&[credited(1)])[1..]);
    assert_eq!(decode_lines(&packed), Ok(vec![credited(9), credited(13), credited(1)]));
    // {"q", 7, 0, 1, 2, step 4, one person with the second 0x5f1ab2c0, first number 9}.
    let mut packed = vec![0x91, 0x98, 0xa1, b'q', 7, 0, 1, 2, 4, 0xad];
    packed.extend([0xff, 0, 1, 2, 3, 4, 5, 6, 7, 0x5f, 0x1a, 0xb2, 0xc0, 9]);
    let dated = match credited(9) {
        Line::Credited { c, f, round, channel, pack, no, .. } => {
            Line::Credited { c, f, round, channel, pack, no, received: 0x5f1a_b2c0 }
        }
        other => other,
    };
    assert_eq!(decode_lines(&packed), Ok(vec![dated.clone()]));
    assert_eq!(decode_lines(&encode_lines(std::slice::from_ref(&dated))), Ok(vec![dated]));
    let Line::Credited { f, .. } = credited(0) else { unreachable!() };
    // {"r", 7, 0, 1, 255, one person}.
    let mut packed = vec![0x91, 0x96, 0xa1, b'r', 7, 0, 1, 0xcc, 0xff, 0xa9];
    packed.extend([0xff, 0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(decode_lines(&packed), Ok(vec![Line::Reserved { c: 7, f, round: 0, channel: 1, choice: 255 }]));
    packed.pop();
    packed[9] = 0xa8;
    assert_eq!(decode_lines(&packed), Err("persons are not nine bytes each".to_owned()));
}

#[test]
fn a_line_that_is_too_short_or_unknown_is_refused_with_a_reason() {
    assert_eq!(decode_lines(&[0x91, 0x92, 0xa1, b'P', 7]), Err("f is missing".to_owned()));
    assert_eq!(decode_lines(&[0x91, 0x92, 0xa1, b'Z', 7]), Err("unknown kind of line Z".to_owned()));
}

#[test]
fn a_line_leaves_out_what_says_nothing_at_its_end() {
    let refunded = |attempt, receipt_no: &str| Line::Refunded {
        c: 7,
        f: Bytes([1; 9]),
        p: 0,
        u: 0,
        share: 1,
        discount: 2,
        merchant_id: "m1".into(),
        order_id: "A1".into(),
        refund_id: "R1".into(),
        store: "s1".into(),
        terminal: "t1".into(),
        amount: 3,
        to: To::Recovered,
        attempt,
        receipt_no: receipt_no.into(),
    };
    let lines = [refunded(0, ""), refunded(2, ""), refunded(1, "N9"), credited(1)];
    assert_eq!(decode_lines(&encode_lines(&lines)), Ok(lines.to_vec()));
    let fields = |line| encode_line(line)[0] & 15;
    assert_eq!((fields(&lines[0]), encode_line(&lines[1])[..3].to_vec()), (14, vec![0xdc, 0, 16]));
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
