//! The passes of the whole crowd in little memory, one after the other in stripes: five million `String`s would take twice the room.

const STRIPE: usize = 1024;

pub struct Passes {
    stripes: Vec<Stripe>,
}

#[derive(Default)]
struct Stripe {
    text: Vec<u8>,
    /// Where each person's pass begins and how long it is; without length there is none.
    places: Vec<(u32, u16)>,
}

impl Passes {
    pub fn new(people: u32) -> Self {
        let count = (people as usize).div_ceil(STRIPE);
        let stripe = || Stripe { text: Vec::new(), places: vec![(0, 0); STRIPE] };
        Self { stripes: (0..count).map(|_| stripe()).collect() }
    }

    pub fn put(&mut self, person: u32, pass: &str) {
        let Stripe { text, places } = &mut self.stripes[person as usize / STRIPE];
        if text.is_empty() {
            // All passes of a round are of one length: no room is taken that is not needed.
            text.reserve_exact(pass.len() * STRIPE);
        }
        places[person as usize % STRIPE] = (text.len() as u32, pass.len() as u16);
        text.extend_from_slice(pass.as_bytes());
    }

    /// Writes the person's pass to the end of `out`; false when there is none.
    pub fn append(&self, person: u32, out: &mut Vec<u8>) -> bool {
        let Stripe { text, places } = &self.stripes[person as usize / STRIPE];
        let (start, length) = places[person as usize % STRIPE];
        out.extend_from_slice(&text[start as usize..start as usize + usize::from(length)]);
        length > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_comes_back_as_it_was_whatever_its_form() {
        let mut passes = Passes::new(3_000);
        for (person, pass) in [(0, "qp1.abc.def"), (2_999, "qp1.not base64.x"), (5, "another"), (5, "a newer one")] {
            passes.put(person, pass);
            let mut out = b"> ".to_vec();
            assert!(passes.append(person, &mut out));
            assert_eq!(out, format!("> {pass}").into_bytes());
        }
        assert!(!passes.append(6, &mut Vec::new()));
    }
}
